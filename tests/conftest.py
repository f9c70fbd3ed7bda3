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


def committed_runs() -> dict[str, np.ndarray]:
    """Returns what the runs behind the README recorded, by run: HISTORY [seeds, rates, epochs]."""
    runs = {}
    for folder in ("thirty_epochs", "hidden_dropout"):
        path = SCRIPT.parent / "figures" / folder / "network_dropout_mnist_history.csv"
        rows = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii")
        for normalization in dict.fromkeys(rows["normalization"]):
            name = "hidden" if folder == "hidden_dropout" else normalization
            run = rows[rows["normalization"] == normalization]
            runs[name] = run[list(dropout_sweep.HISTORY.names)].reshape(20, 10, 30)
    return runs
