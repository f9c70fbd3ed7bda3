"""What the tests share: small data, and the script with other constants or other code."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import dropout_sweep

SCRIPT = Path(dropout_sweep.__file__)


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(path, **dict(zip(names, dropout_sweep.draw_digits(1_000, 300))))
    return str(path)


def edit(folder: Path, *edits: tuple[str, str], **constants: object) -> Path:
    """Writes a copy of the script with these edits (from, to) and constants; returns its path."""
    text = SCRIPT.read_text(encoding="utf-8")
    for old, new in edits:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    for name, value in constants.items():
        line = re.search(rf"(?m)^{name} = .*$", text)[0]
        text = text.replace(line, f"{name} = {value!r}")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dropout_sweep.py"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, *edits: tuple[str, str], **constants: object) -> ModuleType:
    spec = importlib.util.spec_from_file_location("copy", edit(folder, *edits, **constants))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(folder: Path, *edits, env: dict | None = None, **constants: object) -> subprocess.Popen:
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    options["errors"] = "replace"
    options |= {"cwd": folder, "env": os.environ | (env or {})}
    return subprocess.Popen([sys.executable, edit(folder, *edits, **constants)], **options)


def run(folder: Path, *edits, **options: object) -> tuple[int, str, str]:
    process = start(folder, *edits, **options)
    output, errors = process.communicate()
    return process.returncode, output, errors


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "figures").glob("*")}


# The runs behind the README, by their folders in figures/: "." is a default run.
COMMITTED = [".", "thirty_epochs", "hidden_dropout", "adam_epsilon", "weight_decay"]
RATES = dropout_sweep.DROPOUT_RATES


def read_committed(folder: str) -> tuple[list[str], list[float], np.ndarray, np.ndarray]:
    """Returns a committed run's normalizations and rates, and what it recorded.

    HISTORY [normalizations, seeds, rates, epochs] and FINAL [normalizations, seeds, rates].
    """
    tables = []
    for kind in ("history", "final"):
        path = SCRIPT.parent / "figures" / folder / f"network_dropout_mnist_{kind}.csv"
        tables.append(np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii"))
    history, final = tables
    names = list(dict.fromkeys(history["normalization"].tolist()))
    seeds = set(history["seed"].tolist())
    rates = sorted(set(history["dropout_rate"].tolist()))
    shape = [len(names), len(seeds), len(rates)]
    history = history[list(dropout_sweep.HISTORY.names)].astype(dropout_sweep.HISTORY)
    final = final[list(dropout_sweep.FINAL.names)].astype(dropout_sweep.FINAL)
    return names, rates, history.reshape(*shape, -1), final.reshape(shape)


def committed_runs() -> dict[str, np.ndarray]:
    """Returns the runs of thirty epochs: HISTORY [seeds, rates, epochs] for each setting."""
    names, _, history, _ = read_committed("thirty_epochs")
    runs = dict(zip(names, history))
    runs["hidden"] = read_committed("hidden_dropout")[2][0]
    runs["epsilon"] = read_committed("adam_epsilon")[2][0]
    return runs
