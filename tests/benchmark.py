"""No test: `MNIST_NPZ=mnist.npz PYTHONPATH=. python tests/benchmark.py` prints seconds and memory.

It runs a default sweep, one `fit` for every rate, and an epoch with 1 and with 11 seeds.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from conftest import RATES, edit

FITS = f"""
import sys, keras, numpy as np

data = np.load(sys.argv[1])
layers = keras.layers
for rate in {RATES}:
    parts = [layers.Flatten(), layers.LayerNormalization(), layers.Dropout(rate)]
    parts += [layers.Dense(100, activation="tanh"), layers.Dense(10, activation="softmax")]
    model = keras.Sequential([keras.Input([28, 28]), *parts])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    validation = data["x_test"], data["y_test"]
    training = data["x_train"], data["y_train"]
    model.fit(*training, epochs=10, batch_size=128, validation_data=validation)
"""


def measure(name: str, script: Path, *arguments: str) -> None:
    """Runs a script, and prints its wall time and its peak memory."""
    command = [sys.executable, str(script), *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=script.parent, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    assert status == 0, command
    peak = usage.ru_maxrss / 2**10  # on Linux; macOS counts bytes
    print(f"{name:>12}{seconds:>8.1f} s{peak:>8.1f} MB", flush=True)


if __name__ == "__main__":
    data = str(Path(os.environ["MNIST_NPZ"]).resolve())
    with tempfile.TemporaryDirectory() as name:
        fits = Path(name, "fits.py")
        fits.write_text(FITS)
        measure("sweep", edit(fits.parent, DATA_FILE=data))
        measure("fits", fits, data)
        measure("1 seed", edit(fits.parent, DATA_FILE=data, EPOCHS=1))
        measure("11 seeds", edit(fits.parent, DATA_FILE=data, EPOCHS=1, SEEDS=range(11)))
