"""No test: how fast is the sweep, and how much memory does it take?

    python tests/benchmark.py [epochs] [rounds]

Runs the sweep and two opponents in turn, each as a process of its own: the obvious script, which
calls `fit` for every rate, and one Keras model with an output for every rate, which calls it once;
neither draws anything. Then it tells what a further seed costs: twenty seeds against one, an epoch
each. MNIST_NPZ names the data, such as ~/.keras/datasets/mnist.npz.
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

data, epochs, kind = np.load(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
x_train, x_test = (data[name].reshape(len(data[name]), -1) for name in ("x_train", "x_test"))
inputs, outputs = keras.Input([x_train.shape[1]]), []
for rate in [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]:
    x = keras.layers.Dropout(rate)(keras.layers.LayerNormalization()(inputs))
    x = keras.layers.Dense(100, activation="tanh")(x)
    outputs.append(keras.layers.Dense(10, activation="softmax", name=f"rate_{rate}")(x))
for model_outputs in [[output] for output in outputs] if kind == "one fit a rate" else [outputs]:
    size = len(model_outputs)
    model = keras.Model(inputs, model_outputs)
    loss = ["sparse_categorical_crossentropy"] * size
    model.compile(loss=loss, optimizer="adam", metrics=[["accuracy"]] * size)
    validation = (x_test, [data["y_test"]] * size)
    settings = {"epochs": epochs, "batch_size": 128, "validation_data": validation}
    model.fit(x_train, [data["y_train"]] * size, **settings)
"""


def measure(*command: object) -> tuple[float, float]:
    """Runs a script and returns its wall time in seconds and its peak memory in MB."""
    started, nowhere = time.perf_counter(), subprocess.DEVNULL
    options = {"cwd": Path(command[0]).parent, "stdout": nowhere, "stderr": nowhere}
    process = subprocess.Popen([sys.executable, *map(str, command)], **options)
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, command
    return time.perf_counter() - started, usage.ru_maxrss / 2**10  # on Linux; macOS counts bytes


def main(epochs: int = 10, rounds: int = 1) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = str(Path(os.environ["MNIST_NPZ"]).resolve())
        seeds = {
            n: edit(folder / f"{n} seeds", EPOCHS=1, SEEDS=range(n), DATA_FILE=data)
            for n in (1, 20)
        }
        commands = {"sweep": [edit(folder / "sweep", EPOCHS=epochs, DATA_FILE=data)]}
        (folder / "opponent.py").write_text(OPPONENT)
        for kind in ("one fit a rate", "ten outputs"):
            commands[kind] = [folder / "opponent.py", data, epochs, kind]

        results = {kind: [] for kind in commands}
        for _ in range(rounds):
            for kind, command in commands.items():
                results[kind].append(measure(*command))
                print("{:<16}{:>8.1f} s{:>8.0f} MB".format(kind, *results[kind][-1]), flush=True)
        medians = {k: [statistics.median(column) for column in zip(*results[k])] for k in results}
        fastest = medians["sweep"][0]
        for kind, (seconds, peak) in medians.items():
            print(f"median {kind:<16}{seconds:>8.1f} s{peak:>8.0f} MB{seconds / fastest:>8.2f}")

        (one_seconds, one_peak), (seconds, peak) = (measure(script) for script in seeds.values())
        print(
            f"a further seed {(seconds - one_seconds) / 19:>10.1f} s{(peak - one_peak) / 19:>8.1f} MB"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
