"""No test: `python tests/draw_readme.py` draws the README's pictures from the committed numbers."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from conftest import DEFAULTS, FIGURES, RATES, read_run
from matplotlib.figure import Figure

import dropout_sweep


def draw_answer(pixels: np.ndarray, hidden: np.ndarray) -> Figure:
    """Draws the gains of both kinds of dropout: validation accuracies [seeds, rates, epochs]."""
    dropout_sweep.NORMALIZATIONS = ["layer", "layer"]
    accuracies = 100 * np.stack([pixels, hidden])
    run = "MNIST, layer normalization, 20 seeds"
    figure = dropout_sweep.plot_differences_by_epoch(run, RATES, accuracies)
    titles = ("dropout on the pixels", "dropout on the hidden layer")
    for axes, title, epoch in zip(figure.axes, titles, (26, 29)):
        axes.set_title(title, fontsize="medium")
        axes.text(epoch - 0.3, 0.65, "rate 0.0 fails", ha="right", color="gray")
        axes.axvline(epoch, color="gray", linestyle=":", zorder=0)
    figure.axes[0].set_ylim(top=0.85)
    return figure


def draw_epochs(measure: str, values: np.ndarray) -> Figure:
    """Draws four rates by epoch: float [seeds, rates, epochs]."""
    dropout_sweep.NORMALIZATIONS = ["layer"]
    title = "MNIST, dropout on the pixels, 20 seeds"
    rates = [0, 2, 4, 6]
    return dropout_sweep.plot_epochs(
        title, measure, [RATES[rate] for rate in rates], values[None, :, rates]
    )


def main() -> None:
    for name, value in DEFAULTS.items():
        setattr(dropout_sweep, name, value)
    _, history, final = read_run(FIGURES)
    figures = dropout_sweep.plot_results("mnist", RATES, history, final)
    pictures = {f"network_dropout_mnist_{name}": figure for name, figure in figures.items()}
    _, thirty, _ = read_run(FIGURES / "thirty_epochs")
    _, hidden, _ = read_run(FIGURES / "hidden_dropout")
    pictures["answer"] = draw_answer(thirty["val_accuracy"][0], hidden["val_accuracy"][0])
    accuracy, loss = 100 * thirty["val_accuracy"][0], thirty["val_loss"][0]
    pictures["accuracy_by_epoch"] = draw_epochs("validation accuracy (%)", accuracy)
    pictures["loss_by_epoch"] = draw_epochs("validation loss", loss)
    for name, figure in pictures.items():
        figure.savefig(FIGURES / f"{name}.png")


if __name__ == "__main__":
    main()
