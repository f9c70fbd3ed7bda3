"""No test: how fast is the sweep, and how much memory does it take?

    MNIST_NPZ=mnist.npz python tests/benchmark.py [rounds]

Runs a default sweep, one `fit` for every rate, and one Keras model with an output for every rate,
each as a process; then eleven seeds against one, an epoch each.
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

OPPONENT = f"""
import sys
import keras, numpy as np

data = np.load(sys.argv[1])
x_train, x_test = (data[name].reshape(-1, 784) for name in ("x_train", "x_test"))
inputs, outputs = keras.Input([784]), []
for rate in {RATES}:
    x = keras.layers.Dropout(rate)(keras.layers.LayerNormalization()(inputs))
    x = keras.layers.Dense(100, activation="tanh")(x)
    outputs.append(keras.layers.Dense(10, activation="softmax")(x))
for chosen in [[output] for output in outputs] if sys.argv[2] == "fits" else [outputs]:
    size = len(chosen)
    model = keras.Model(inputs, chosen)
    loss = ["sparse_categorical_crossentropy"] * size
    model.compile(loss=loss, optimizer="adam", metrics=[["accuracy"]] * size)
    validation = (x_test, [data["y_test"]] * size)
    labels = [data["y_train"]] * size
    model.fit(x_train, labels, epochs=10, batch_size=128, validation_data=validation)
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
        opponent = Path(name, "opponent.py")
        opponent.write_text(OPPONENT)
        commands = {"sweep": [edit(Path(name, "sweep"), DATA_FILE=data)]}
        commands |= {kind: [opponent, data, kind] for kind in ("fits", "ten outputs")}
        results = [[measure(*each) for each in commands.values()] for _ in range(rounds)]
        for kind, measured in zip(commands, zip(*results)):
            seconds, peaks = zip(*measured)
            median = statistics.median(seconds)
            print(f"{kind:<14}{median:>8.1f} s{statistics.median(peaks):>8.0f} MB, of {seconds}")
        one = measure(edit(Path(name, "1"), EPOCHS=1, DATA_FILE=data))
        eleven = measure(edit(Path(name, "11"), EPOCHS=1, DATA_FILE=data, SEEDS=range(11)))
        seconds, peak = ((many - single) / 10 for many, single in zip(eleven, one))
        print(f"a further seed{seconds:>8.1f} s{peak:>8.1f} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
