"""Draws the two figures of the README's finding from the committed runs of thirty epochs.

python tests/draw_readme.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import matplotlib.style
import numpy as np
from conftest import SCRIPT, committed_runs
from matplotlib.figure import Figure

import dropout_sweep

RATES = dropout_sweep.DROPOUT_RATES
PANELS = {
    "layer": "layer normalization",
    "batch": "batch normalization",
    "none": "no normalization",
    "hidden": "layer normalization,\ndropout on the hidden layer",
}


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
    figure.suptitle("Each rate against none: MNIST, 20 seeds, 95 % intervals")
    dropout_sweep.plot_comparisons(all_axes, RATES, np.array(panels))
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_by_epoch(run: np.ndarray) -> Figure:
    """Draws validation accuracy and loss by epoch for four rates: HISTORY [seeds, rates, epochs]."""
    figure = Figure(figsize=(13, 5), dpi=100, layout="constrained")
    accuracy_axes, loss_axes = figure.subplots(1, 2)
    figure.suptitle("MNIST, layer normalization, 20 seeds: mean and standard deviation")
    epochs = range(1, run.shape[-1] + 1)
    looks = {
        0.0: ("black", "o"),
        0.2: ("tab:blue", "^"),
        0.4: ("tab:green", "s"),
        0.6: ("tab:orange", "v"),
    }
    for axes, measure, scale in ((accuracy_axes, "val_accuracy", 100), (loss_axes, "val_loss", 1)):
        for rate, (colour, marker) in looks.items():
            values = scale * run[measure][:, RATES.index(rate)]
            means = values.mean(axis=0)
            spread = values.std(axis=0, ddof=1)
            label = f"rate {rate}"
            axes.plot(epochs, means, color=colour, marker=marker, markersize=4, label=label)
            axes.fill_between(
                epochs, means - spread, means + spread, color=colour, alpha=0.15, lw=0
            )
        axes.axvline(10, color="gray", linestyle=":")
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3)
    accuracy_axes.set_ylabel("validation accuracy (%)")
    accuracy_axes.set_ylim(96, 98.1)
    accuracy_axes.legend(loc="lower right")
    loss_axes.set_ylabel("validation loss")
    loss_axes.set_ylim(0.06, 0.13)
    return figure


def main() -> None:
    """Writes the figures beside those of the default run."""
    runs = committed_runs()
    with matplotlib.style.context("default"):
        images = {
            "differences.png": dropout_sweep.as_image(draw_differences(runs)),
            "loss_by_epoch.png": dropout_sweep.as_image(draw_by_epoch(runs["layer"])),
        }
    for name, image in images.items():
        (SCRIPT.parent / "figures" / name).write_bytes(image)


if __name__ == "__main__":
    main()
