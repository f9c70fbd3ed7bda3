"""No test: draws all committed figures again, from the committed numbers.

    python tests/draw_readme.py

The figures of each run come from its CSVs, by the script's own code; those of the README's finding
compare runs with each other.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import matplotlib.style
import numpy as np
from conftest import COMMITTED, RATES, SCRIPT, committed_runs, read_committed
from matplotlib.figure import Figure

import dropout_sweep

PIXELS = "dropout on the pixels"
HIDDEN = "dropout on the hidden layer"
PANELS = {
    "layer": "layer normalization",
    "batch": "batch normalization",
    "none": "no normalization",
    "hidden": f"layer normalization,\n{HIDDEN}",
}


def draw_answer(runs: dict[str, np.ndarray]) -> Figure:
    """Draws what dropout costs and brings, epoch by epoch: HISTORY [seeds, rates, epochs]."""
    figure = Figure(figsize=(13, 5.5), dpi=100, layout="constrained")
    all_axes = list(figure.subplots(1, 2, sharey=True))
    figure.suptitle(
        "MNIST, layer normalization, 20 seeds: validation accuracy minus that of no dropout\n"
        "(filled where a 95 % interval, simultaneous for all rates, leaves out 0)"
    )
    for axes, title in zip(all_axes, (PIXELS, HIDDEN)):
        axes.set_title(title, fontsize="medium")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    all_axes[0].set_ylabel("percentage points")
    accuracies = np.array([runs[run]["val_accuracy"] for run in ("layer", "hidden")])
    lines = dropout_sweep.plot_comparisons_by_epoch(all_axes, RATES, accuracies)
    dropout_sweep.add_legend(figure, lines)
    return figure


def draw_differences(runs: dict[str, np.ndarray]) -> Figure:
    """Draws validation accuracy minus that of rate 0.0, after 10 and after 30 epochs."""
    figure = Figure(figsize=(14, 8.5), dpi=100, layout="constrained")
    all_axes = list(figure.subplots(2, 4, sharey=True).flat)
    panels = []
    for epochs in (10, 30):
        for run, title in PANELS.items():
            axes = all_axes[len(panels)]
            axes.set_title(f"{title}, {epochs} epochs", fontsize="medium")
            axes.grid(alpha=0.3)
            panels.append(runs[run]["val_accuracy"][:, :, epochs - 1])
    for axes in all_axes[4:]:
        axes.set_xlabel("dropout rate")
    figure.supylabel("validation accuracy minus that of rate 0.0 (percentage points)")
    figure.suptitle("Each rate against none: MNIST, 20 seeds, simultaneous 95 % intervals")
    dropout_sweep.plot_comparisons(all_axes, RATES, np.array(panels))
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_loss(run: np.ndarray) -> Figure:
    """Draws validation accuracy and loss by epoch for four rates: HISTORY [seeds, rates, epochs]."""
    figure = Figure(figsize=(13, 5), dpi=100, layout="constrained")
    accuracy_axes, loss_axes = figure.subplots(1, 2)
    figure.suptitle("MNIST, layer normalization, 20 seeds: mean and standard deviation")
    epochs = range(1, run.shape[-1] + 1)
    styles = {
        0.0: ("black", "o"),
        0.2: ("tab:blue", "^"),
        0.4: ("tab:green", "s"),
        0.6: ("tab:orange", "v"),
    }
    for axes, measure, scale in ((accuracy_axes, "val_accuracy", 100), (loss_axes, "val_loss", 1)):
        for rate, (color, marker) in styles.items():
            values = scale * run[measure][:, RATES.index(rate)]
            means = values.mean(axis=0)
            spread = values.std(axis=0, ddof=1)
            label = f"rate {rate}"
            axes.plot(epochs, means, color=color, marker=marker, markersize=4, label=label)
            axes.fill_between(epochs, means - spread, means + spread, color=color, alpha=0.15, lw=0)
        axes.axvline(10, color="gray", linestyle=":")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    accuracy_axes.set_ylabel("validation accuracy (%)")
    accuracy_axes.set_ylim(96, 98.1)
    accuracy_axes.legend(loc="lower right")
    loss_axes.set_ylabel("validation loss")
    loss_axes.set_ylim(0.06, 0.13)
    return figure


def draw_run(folder: str) -> dict[str, bytes]:
    """Draws the figures of a committed run, as the script does, by file name."""
    names, rates, history, final = read_committed(folder)
    dropout_sweep.NORMALIZATIONS = [None if name == "none" else name for name in names]
    return dropout_sweep.plot_results("mnist", rates, history, final)


def main() -> None:
    """Writes the figures beside the numbers."""
    runs = committed_runs()
    figures = SCRIPT.parent / "figures"
    for folder in COMMITTED:
        for name, image in draw_run(folder).items():
            (figures / folder / f"network_dropout_mnist_{name}").write_bytes(image)
    with matplotlib.style.context("default"):
        images = {
            "answer.png": dropout_sweep.as_image(draw_answer(runs)),
            "differences.png": dropout_sweep.as_image(draw_differences(runs)),
            "loss_by_epoch.png": dropout_sweep.as_image(draw_loss(runs["layer"])),
        }
    for name, image in images.items():
        (figures / name).write_bytes(image)


if __name__ == "__main__":
    main()
