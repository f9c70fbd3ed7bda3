"""What the tests share: small data, copies of the script, and the runs behind the README."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dropout_sweep

SCRIPT = Path(dropout_sweep.__file__)
FIGURES = SCRIPT.parent / "figures"
SECONDS = 120  # that any process may take
OUTPUTS = "accuracy.png by_rate.png difference_by_epoch.png history.csv script.py val_accuracy.png"
OUTPUTS = [*OUTPUTS.split(), "val_loss.png"]
RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
DEFAULTS = {"DROPOUT_RATES": RATES, "NORMALIZATIONS": ["layer"], "SEEDS": [0], "EPOCHS": 10}
DEFAULTS |= {"BATCH_SIZE": 128, "HIDDEN_UNITS": 100, "LEARNING_RATE": 0.001, "DATASET": "mnist"}
DEFAULTS |= {"DATA_FILE": None, "FIGURES_DIR": "figures", "FIGURE_FORMAT": "png"}

# Saved again and again as soon as it has begun, with one more line on top each time.
SAVED = """
cp dropout_sweep.py read.py
"$0" dropout_sweep.py &
until [ -d figures ]; do sleep 0.05; done
while kill -0 $! 2>/dev/null; do
    n=$((n + 1)); (seq $n; cat read.py) >dropout_sweep.py; sleep 0.1
done
wait $!
"""
# Killed in its third sweep, then continued by two at once.
KILLED = """
"$0" dropout_sweep.py >killed 2>&1 &
for _ in $(seq 1000); do grep -q "Sweep 3" killed && break; sleep 0.1; done
kill -9 $!
"$0" dropout_sweep.py >one 2>&1 &
"$0" dropout_sweep.py >two 2>&1
wait
"""


def edit(folder: Path, **constants: object) -> Path:
    """Writes a copy of the script with these constants; the others have their defaults."""
    text = SCRIPT.read_text(encoding="utf-8")
    for name, value in (DEFAULTS | constants).items():
        (line,) = re.findall(rf"(?m)^{name} = .*$", text)
        text = text.replace(line, f"{name} = {value!r}")
    path = folder / "dropout_sweep.py"
    path.write_text(text, encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Returns what a run wrote, hidden files too."""
    return {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}


def read_run(folder: Path, data: str = "mnist") -> np.ndarray:
    """Returns a run's history: [normalizations, seeds, rates, epochs], with names."""
    path = folder / f"network_dropout_{data}_history.csv"
    history = np.genfromtxt(path, delimiter=",", names=True)
    shape = [len(np.unique(history[key])) for key in ("seed", "dropout_rate", "epoch")]
    return history.reshape(-1, *shape)


@pytest.fixture(autouse=True)
def defaults(monkeypatch) -> None:
    for name, value in DEFAULTS.items():
        monkeypatch.setattr(dropout_sweep, name, value)


@pytest.fixture(scope="session")
def digits(tmp_path_factory) -> str:
    """An .npz of drawn digits: 300 to train on, 100 for validation."""
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    arrays = dropout_sweep.draw_digits(300, 100)
    np.savez(path, **dict(zip(dropout_sweep.ARRAY_NAMES, arrays)))
    return str(path)


@pytest.fixture(scope="session", autouse=True)
def runs(request, digits, tmp_path_factory) -> dict[str, tuple]:
    """The runs that the last tests look at, started before the first if any of these is chosen."""
    if not any(item.path.name == "test_whole_run.py" for item in request.session.items):
        return {}
    small = {"DROPOUT_RATES": (0.8, 0), "SEEDS": [0, 5], "EPOCHS": 2, "HIDDEN_UNITS": 8}
    small |= {"NORMALIZATIONS": ["layer", None], "DATA_FILE": digits}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    started = {}
    for name, commands in (("saved", SAVED), ("killed", KILLED)):
        folder = tmp_path_factory.mktemp(name)
        edit(folder, **small)
        command = ["sh", "-c", commands, sys.executable]
        started[name] = folder, subprocess.Popen(command, cwd=folder, **pipes)
    return started
