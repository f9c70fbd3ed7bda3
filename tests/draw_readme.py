"""No test: `python tests/draw_readme.py` draws what no run draws of the README's pictures."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from conftest import FIGURES, RATES, read_run
from matplotlib.figure import Figure

import dropout_sweep


def draw_answer(pixels: np.ndarray, hidden: np.ndarray) -> Figure:
    """Draws the gains of both kinds of dropout: accuracies in %, [seeds, rates, epochs]."""
    dropout_sweep.NORMALIZATIONS = ["layer", "layer"]
    run = "MNIST, layer normalization, 20 seeds"
    figure = dropout_sweep.plot_differences_by_epoch(run, RATES, np.stack([pixels, hidden]))
    titles = ("dropout on the pixels", "dropout on the hidden layer")
    for axes, title, epoch in zip(figure.axes, titles, (26, 29)):
        axes.set_title(title, fontsize="medium")
        axes.text(epoch - 0.3, 0.65, "rate 0.0 fails", ha="right", color="gray")
        axes.axvline(epoch, color="gray", linestyle=":", zorder=0)
    figure.axes[0].set_ylim(top=0.85)
    return figure


def draw_four_rates(measure: str, values: np.ndarray) -> Figure:
    """Draws rates 0.0, 0.2, 0.4 and 0.6 by epoch: float [seeds, rates, epochs]."""
    dropout_sweep.NORMALIZATIONS = ["layer"]
    title = "MNIST, dropout on the pixels, 20 seeds (bands: standard deviation)"
    return dropout_sweep.plot_epochs(title, measure, RATES[:8:2], values[None, :, :8:2])


if __name__ == "__main__":
    pixels = read_run(FIGURES / "thirty_epochs")[0][0]
    hidden = read_run(FIGURES / "hidden_dropout")[0][0]
    accuracy = 100 * pixels["val_accuracy"]
    pictures = {
        "answer": draw_answer(accuracy, 100 * hidden["val_accuracy"]),
        "accuracy_by_epoch": draw_four_rates("validation accuracy (%)", accuracy),
        "loss_by_epoch": draw_four_rates("validation loss", pixels["val_loss"]),
    }
    for name, figure in pictures.items():
        figure.savefig(FIGURES / f"{name}.png")
