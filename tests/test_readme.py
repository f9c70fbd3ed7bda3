"""The README's numbers are those of the committed runs."""

import csv
import re

import numpy as np
import pytest
from benchmark import SCRIPT

import dropout_sweep

FIVE_SEEDS = SCRIPT.parent / "figures" / "five_seeds" / "network_dropout_mnist_final.csv"
README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")


def read_final() -> dict[str, np.ndarray]:
    """Returns the accuracies after the last epoch by normalization: float [seeds, rates, 4].

    Training with dropout on, with dropout off, validation, and the gap between the last two.
    """
    with open(FIVE_SEEDS, encoding="ascii") as file:
        rows = list(csv.DictReader(file))
    names = ("accuracy", "accuracy_dropout_off", "val_accuracy")
    results = {}
    for normalization in ("layer", "batch", "none"):
        values = [[float(r[n]) for n in names] for r in rows if r["normalization"] == normalization]
        values = np.array(values).reshape(5, 10, 3)
        results[normalization] = np.concatenate([values, values[..., 1:2] - values[..., 2:]], -1)
    return results


def table(heads: list[str], columns: list[np.ndarray]) -> str:
    """Returns a Markdown table of mean ± standard deviation in percent; columns [seeds, rates]."""
    lines = ["| rate | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    for row in range(10):
        cells = [
            f"{100 * values[:, row].mean():.2f} ± {100 * values[:, row].std(ddof=1):.2f}"
            for values in columns
        ]
        lines.append(f"| {row / 10} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def layer_table() -> str:
    heads = ["training, dropout on", "training, dropout off", "validation", "gap"]
    return table(heads, list(np.moveaxis(read_final()["layer"], -1, 0)))


def validation_table() -> str:
    final = read_final()
    heads = [f"{name} normalization" for name in ("layer", "batch", "no")]
    return table(heads, [values[..., 2] for values in final.values()])


def verdicts() -> list[str]:
    rates = [row / 10 for row in range(10)]
    texts = [dropout_sweep.verdict(rates, values[..., 2]) for values in read_final().values()]
    return [" ".join(text.split()) for text in texts]


def test_tables():
    assert layer_table() in README
    assert validation_table() in README


def gaps() -> str:
    """Returns the gap at rate 0.0 for each normalization, as the README words it."""
    layer, batch, none = (100 * values[:, 0, 3].mean() for values in read_final().values())
    return f"{batch:.2f} with batch normalization, {layer:.2f} with layer and {none:.2f} with none"


def test_gaps():
    assert gaps() in " ".join(README.split())


@pytest.mark.parametrize("number", range(3))
def test_verdicts(number):
    assert verdicts()[number] in " ".join(README.split())


def test_differences():
    """Each `A to B: D ± S` in the README is a paired difference of validation accuracies."""
    found = re.findall(r"rate (0\.\d) to (0\.\d): ([+−]\d\.\d\d) ± (\d\.\d\d)", README)
    assert len(found) >= 4
    validation = 100 * read_final()["layer"][..., 2]
    for low, high, mean, spread in found:
        difference = validation[:, int(high[2])] - validation[:, int(low[2])]
        assert f"{difference.mean():+.2f}".replace("-", "−") == mean
        assert f"{difference.std(ddof=1):.2f}" == spread


def test_figures_and_commands():
    for name in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (SCRIPT.parent / name).read_bytes().startswith(b"\x89PNG")
    commands = [line.strip() for line in README.splitlines() if line.startswith("    python")]
    assert commands == [
        "python -m pip install -r requirements.txt && python dropout_sweep.py",
        "python -m pip install -r requirements.txt pytest && python -m pytest",
    ]
    for name in re.findall(r"(?m)^([A-Z_]+) = ", SCRIPT.read_text(encoding="utf-8")):
        assert f"| `{name}` |" in README or name in ("MARKERS", "ACCURACY_TICKS")
