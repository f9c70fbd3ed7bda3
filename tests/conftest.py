"""What the tests share: small data, the script as a process, and the runs behind the README."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import dropout_sweep
from dropout_sweep import keras, tf

SCRIPT = Path(dropout_sweep.__file__)
SECONDS = 120  # that any process may take
OUTPUTS = ["accuracy.png", "difference.png", "difference_by_epoch.png", "final.csv", "history.csv"]
OUTPUTS += ["val_accuracy.png", "val_loss.png"]
FIGURES = SCRIPT.parent / "figures"
RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
DEFAULTS = {"DROPOUT_RATES": RATES, "NORMALIZATIONS": ["layer"], "SEEDS": [0], "EPOCHS": 10}
DEFAULTS |= {"BATCH_SIZE": 128, "HIDDEN_UNITS": 100, "LEARNING_RATE": 0.001, "DATASET": "mnist"}
DEFAULTS |= {"DATA_FILE": None, "FIGURES_DIR": "figures", "FIGURE_FORMAT": "png"}


class Draws(keras.Layer):
    """A layer whose random numbers have no seed."""

    def call(self, inputs, training=False):
        noise = tf.random.normal(tf.shape(inputs))
        if not keras.__version__.startswith("3.5."):  # it does not reset its own
            noise += keras.random.normal(keras.ops.shape(inputs))
        return inputs + 0.1 * noise if training else inputs


# Put into the script: such numbers, and a kill behind the second record.
INJECTED = f"""
{inspect.getsource(Draws)}

def build_network(normalization, rate, image_shape, classes, plain=build_network):
    network = plain(normalization, rate, image_shape, classes)
    noisy = keras.Sequential([keras.Input(image_shape), Draws(), *network.layers])
    noisy.compile(FusedAdam(LEARNING_RATE), network.loss, metrics=["accuracy"])
    return noisy


def write_file(name, content, plain=write_file):
    path = plain(name, content)
    if name.endswith("_0_1.npz") and "KILL" in os.environ:
        os.kill(os.getpid(), 9)
    return path


"""
# Killed, then, with a damaged record, continued by two at once.
KILLED = """KILL=1 "$0" dropout_sweep.py >/dev/null 2>&1
ls -A figures >left; for record in figures/.*_0_1.npz; do : >"$record"; done
"$0" dropout_sweep.py >one 2>&1 &
"$0" dropout_sweep.py >two 2>&1
wait"""


def edit(folder: Path, code: str = "", **constants: object) -> Path:
    """Writes a copy of the script with these constants, and code before it starts."""
    text = SCRIPT.read_text(encoding="utf-8")
    for name, value in (DEFAULTS | constants).items():
        (line,) = re.findall(rf"(?m)^{name} = .*$", text)
        text = text.replace(line, f"{name} = {value!r}")
    head, start, end = text.partition('if __name__ == "__main__":')
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "dropout_sweep.py"
    path.write_text(head + code + start + end, encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """Returns what a run wrote, hidden files too."""
    return {path.name: path.read_bytes() for path in (folder / "figures").iterdir()}


@pytest.fixture(autouse=True)
def defaults(monkeypatch) -> None:
    for name, value in DEFAULTS.items():
        monkeypatch.setattr(dropout_sweep, name, value)


def read_run(folder: Path, data: str = "mnist") -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns the normalizations, HISTORY and FINAL that a run wrote into this folder."""
    tables = []
    for kind, results in (("history", dropout_sweep.HISTORY), ("final", dropout_sweep.FINAL)):
        path = folder / f"network_dropout_{data}_{kind}.csv"
        table = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii")
        names, *others = (dict.fromkeys(table[key].tolist()) for key in table.dtype.names[:3])
        tables.append(table[list(results.names)].astype(results))
    shape = [len(names), *(len(values) for values in others)]
    return list(names), tables[0].reshape(*shape, -1), tables[1].reshape(shape)


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
    small = {"DROPOUT_RATES": (0.8, 0), "SEEDS": [0, 5, 6], "EPOCHS": 2, "HIDDEN_UNITS": 8}
    small |= {"NORMALIZATIONS": ["layer", None], "DATA_FILE": digits}
    commands = {"whole": [sys.executable, "dropout_sweep.py"]}
    commands["killed"] = ["sh", "-c", KILLED, sys.executable]
    started = {}
    for name, command in commands.items():
        folder = tmp_path_factory.mktemp(name)
        edit(folder, INJECTED, **small)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
        started[name] = folder, subprocess.Popen(command, cwd=folder, **pipes)
    return started
