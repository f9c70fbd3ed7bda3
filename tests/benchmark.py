"""No test: how fast is the sweep, and how much memory does it take?

    MNIST_NPZ=mnist.npz python tests/benchmark.py [rounds]

Runs a default sweep and one `fit` for every rate in turn, then eleven seeds against one.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conftest import RATES, edit

FITS = f"""
import sys
import keras, numpy as np

data = np.load(sys.argv[1])
validation = data["x_test"], data["y_test"]
for rate in {RATES}:
    parts = [keras.Input([28, 28]), keras.layers.Flatten(), keras.layers.LayerNormalization()]
    parts += [keras.layers.Dropout(rate), keras.layers.Dense(100, activation="tanh")]
    model = keras.Sequential([*parts, keras.layers.Dense(10, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    training = data["x_train"], data["y_train"]
    model.fit(*training, epochs=10, batch_size=128, validation_data=validation)
"""


def measure(script: Path, *arguments: str) -> tuple[float, float]:
    """Runs a script and returns its wall time in seconds and its peak memory in MB."""
    command = [sys.executable, str(script), *arguments]
    started = time.perf_counter()
    process = subprocess.Popen(command, cwd=script.parent, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - started, usage.ru_maxrss / 2**10  # on Linux; macOS counts bytes


def main(rounds: int = 1) -> None:
    data = str(Path(os.environ["MNIST_NPZ"]).resolve())
    with tempfile.TemporaryDirectory() as name:
        fits = Path(name, "fits.py")
        fits.write_text(FITS)
        sweep = edit(Path(name, "sweep"), DATA_FILE=data)
        results = [(measure(sweep), measure(fits, data)) for _ in range(rounds)]
        for kind, measured in zip(("sweep", "fits"), zip(*results)):
            seconds, peaks = zip(*measured)
            median = statistics.median(seconds)
            print(f"{kind}{median:>8.1f} s{statistics.median(peaks):>8.0f} MB, of {seconds}")
        one = measure(edit(Path(name, "1"), EPOCHS=1, DATA_FILE=data))
        eleven = measure(edit(Path(name, "11"), EPOCHS=1, DATA_FILE=data, SEEDS=range(11)))
        seconds, peak = ((many - single) / 10 for many, single in zip(eleven, one))
        print(f"a further seed{seconds:>8.1f} s{peak:>8.1f} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
