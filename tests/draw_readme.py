"""No test: draws the README's pictures from the committed numbers.

python tests/draw_readme.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from conftest import DEFAULTS, FIGURES, RATES, read_run
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import dropout_sweep

STYLES = {
    0.0: ("black", "o"),
    0.2: ("tab:blue", "^"),
    0.4: ("tab:green", "s"),
    0.6: ("tab:orange", "v"),
}


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


def plot_means(axes: Axes, title: str, values: np.ndarray) -> None:
    """Draws four rates, mean and standard deviation over the seeds: float [seeds, rates, epochs]."""
    epochs = np.arange(1, values.shape[-1] + 1)
    for rate, (color, marker) in STYLES.items():
        mean = values[:, RATES.index(rate)].mean(axis=0)
        spread = values[:, RATES.index(rate)].std(axis=0, ddof=1)
        axes.plot(epochs, mean, color=color, marker=marker, markersize=4, label=f"rate {rate}")
        axes.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
    axes.set_title(title, fontsize="medium")
    axes.set_xlabel("epoch")
    axes.grid(alpha=0.3)


def draw_loss(history: np.ndarray) -> Figure:
    """Draws validation accuracy and loss by epoch: HISTORY [seeds, rates, epochs]."""
    figure = Figure(figsize=(12, 5), dpi=150, layout="constrained")
    figure.suptitle("MNIST, layer normalization, dropout on the pixels, 20 seeds")
    left, right = figure.subplots(1, 2)
    plot_means(left, "validation accuracy (%)", 100 * history["val_accuracy"])
    left.set_ylim(96, 98.1)
    left.legend(loc="lower right")
    plot_means(right, "validation loss", history["val_loss"])
    right.set_ylim(0.06, 0.13)
    return figure


def main() -> None:
    for name, value in DEFAULTS.items():
        setattr(dropout_sweep, name, value)
    _, history, final = read_run(".")
    figures = dropout_sweep.plot_results("mnist", RATES, history, final)
    pictures = {f"network_dropout_mnist_{name}": figure for name, figure in figures.items()}
    _, thirty, _ = read_run("thirty_epochs")
    _, hidden, _ = read_run("hidden_dropout")
    pictures["answer"] = draw_answer(thirty["val_accuracy"][0], hidden["val_accuracy"][0])
    pictures["loss_by_epoch"] = draw_loss(thirty[0])
    for name, figure in pictures.items():
        figure.savefig(FIGURES / f"{name}.png")


if __name__ == "__main__":
    main()
