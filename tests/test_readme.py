"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import csv
import re

import numpy as np
from conftest import SCRIPT

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
WORDS, RATES = " ".join(README.split()), [row / 10 for row in range(10)]


def final(run: str) -> np.ndarray:
    """Returns percentages after the last epoch, and the gap: float [seeds, rates, 4]."""
    folder = "hidden_dropout" if run == "hidden" else "twenty_seeds"
    name = {"no": "none", "hidden": "layer"}.get(run, run)
    path = SCRIPT.parent / "figures" / folder / "network_dropout_mnist_final.csv"
    rows = list(csv.reader(path.read_text(encoding="ascii").splitlines()))[1:]
    values = np.array([row[3:] for row in rows if row[0] == name], float).reshape(-1, 10, 3) * 100
    return np.concatenate([values, values[..., 1:2] - values[..., 2:]], axis=-1)


def test_the_table():
    columns = [*np.moveaxis(final("layer")[..., :3], 2, 0), final("hidden")[..., 2]]
    for row, rate in enumerate(RATES):
        cells = [f"{c[:, row].mean():.2f}±{c[:, row].std(ddof=1):.2f}" for c in columns]
        assert f"| {rate} | {' | '.join(cells)} |" in README


def test_differences():
    # Paired differences, as in: layer normalization, validation, rate 0.0 to 0.1: +0.27 ± 0.15
    words = r"(\w+) \w+, (validation|gap), rate (0\.\d) to (0\.\d): (\S+ ± \d\.\d\d)"
    assert len(re.findall(words, WORDS)) >= 8
    for run, what, low, high, expected in re.findall(words, WORDS):
        values = final(run)[..., {"validation": 2, "gap": 3}[what]]
        difference = values[:, RATES.index(float(high))] - values[:, RATES.index(float(low))]
        text = f"{difference.mean():+.2f} ± {difference.std(ddof=1):.2f}"
        assert text.replace("-", "−") == expected


def test_figures_and_commands():
    for name in re.findall(r"\((figures/[^)]+)\)", README):
        assert (SCRIPT.parent / name).exists()
    for command in (" && python dropout_sweep.py", " pytest && python -m pytest"):
        assert f"\n    python -m pip install -r requirements.txt{command}\n" in README
