"""No test: `python tests/draw_readme.py` draws what no run draws of the README's pictures."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from conftest import FIGURES, RATES, read_run
from matplotlib.figure import Figure

import dropout_sweep as script

RUN = "MNIST, 20 seeds"
SURE = "sure where a bar misses the thin line: 95 %, for all rates at once"
MARKED = "marked: its 95 % interval leaves out 0, each epoch tested by itself"


def draw_answer(pixels: np.ndarray, hidden: np.ndarray) -> Figure:
    """Draws the gains of both kinds of dropout: accuracies in %, [seeds, rates, epochs]."""
    script.NORMALIZATIONS = ["layer", "layer"]
    title = f"Validation accuracy minus that of rate 0.0, layer normalization, {RUN}\n{MARKED}"
    figure = script.plot_differences(title, RATES, np.stack([pixels, hidden]))
    titles = ("dropout on the pixels", "dropout on the hidden layer")
    for axes, title, epoch in zip(figure.axes, titles, (26, 29)):
        axes.set_title(title, fontsize="medium")
        axes.text(epoch - 0.3, 0.65, "rate 0.0 fails", ha="right", color="gray")
        axes.axvline(epoch, color="gray", linestyle=":", zorder=0)
    figure.axes[0].set_ylim(top=0.85)
    return figure


def draw_four_rates(measure: str, axis: tuple, values: np.ndarray) -> Figure:
    """Draws rates 0.0, 0.2, 0.4 and 0.6 by epoch: float [seeds, rates, epochs]."""
    script.NORMALIZATIONS = ["layer"]
    title = f"{measure}, {RUN}\nmeans, in bands of one standard deviation"
    return script.plot_epochs(title, axis, RATES[:8:2], values[None, :, :8:2])


if __name__ == "__main__":
    history = read_run(FIGURES / "thirty_epochs")
    percent = {name: 100 * history[name] for name in ("val_accuracy", "accuracy_dropout_off")}
    pixels = percent["val_accuracy"][0]
    hidden = 100 * read_run(FIGURES / "hidden_dropout")["val_accuracy"][0]
    pictures = {
        "answer": draw_answer(pixels, hidden),
        "accuracy_by_epoch": draw_four_rates("Validation accuracy", script.ACCURACY_AXIS, pixels),
        "loss_by_epoch": draw_four_rates(
            "Validation loss", script.LOSS_AXIS, history["val_loss"][0]
        ),
    }
    script.NORMALIZATIONS = ["layer", "batch", None]
    title = f"Accuracy after thirty epochs, {RUN}\n{SURE}"
    final = {name: values[..., -1] for name, values in percent.items()}
    pictures["by_rate"] = script.plot_by_rate(title, RATES, final)
    for name, figure in pictures.items():
        figure.savefig(FIGURES / f"{name}.png")
