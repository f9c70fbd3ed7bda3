"""No test: how fast is the sweep, and how much memory does it take?

    MNIST_NPZ=mnist.npz python tests/benchmark.py [rounds]

Runs a default sweep and two opponents in turn, each as a process of its own: one `fit` for every
rate, and one Keras model with an output for every rate. Neither of these draws anything. Then it
tells what a further seed costs: eleven seeds against one, an epoch each.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from conftest import edit

OPPONENT = """
import sys
import keras, numpy as np

data, kind = np.load(sys.argv[1]), sys.argv[2]
x_train, x_test = (data[name].reshape(len(data[name]), -1) for name in ("x_train", "x_test"))
inputs, outputs = keras.Input([x_train.shape[1]]), []
for rate in [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]:
    x = keras.layers.Dropout(rate)(keras.layers.LayerNormalization()(inputs))
    x = keras.layers.Dense(100, activation="tanh")(x)
    outputs.append(keras.layers.Dense(10, activation="softmax", name=f"rate_{rate}")(x))
for chosen in [[output] for output in outputs] if kind == "a fit a rate" else [outputs]:
    size = len(chosen)
    model = keras.Model(inputs, chosen)
    loss = ["sparse_categorical_crossentropy"] * size
    model.compile(loss=loss, optimizer="adam", metrics=[["accuracy"]] * size)
    validation = (x_test, [data["y_test"]] * size)
    labels = [data["y_train"]] * size
    model.fit(x_train, labels, epochs=10, batch_size=128, validation_data=validation)
"""


def measure(*command: str) -> tuple[float, float]:
    """Runs a script and returns its wall time in seconds and its peak memory in MB."""
    nowhere = subprocess.DEVNULL
    started = time.perf_counter()
    folder = Path(command[0]).parent
    process = subprocess.Popen(
        [sys.executable, *command], cwd=folder, stdout=nowhere, stderr=nowhere
    )
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - started, usage.ru_maxrss / 2**10  # on Linux; macOS counts bytes


def main(rounds: int = 1) -> None:
    with tempfile.TemporaryDirectory() as name:
        data = str(Path(os.environ["MNIST_NPZ"]).resolve())
        opponent = Path(name, "opponent.py")
        opponent.write_text(OPPONENT)
        commands = {"sweep": [str(edit(Path(name, "sweep"), DATA_FILE=data))]}
        for kind in ("a fit a rate", "ten outputs"):
            commands[kind] = [str(opponent), data, kind]
        results = {kind: [] for kind in commands}
        for _ in range(rounds):
            for kind, command in commands.items():
                results[kind].append(measure(*command))
                seconds, peak = results[kind][-1]
                print(f"{kind:<14}{seconds:>8.1f} s{peak:>8.0f} MB", flush=True)
        for kind, measured in results.items():
            seconds, peak = (statistics.median(column) for column in zip(*measured))
            print(f"median {kind:<14}{seconds:>8.1f} s{peak:>8.0f} MB")

        one = measure(str(edit(Path(name, "1"), EPOCHS=1, DATA_FILE=data)))
        eleven = measure(str(edit(Path(name, "11"), EPOCHS=1, DATA_FILE=data, SEEDS=range(11))))
        seconds, peak = ((many - single) / 10 for many, single in zip(eleven, one))
        print(f"a further seed{seconds:>8.1f} s{peak:>8.1f} MB")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
