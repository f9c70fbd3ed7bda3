"""How fast is the sweep, and how much memory does it take?

    python tests/benchmark.py [epochs] [rounds]

Runs the sweep and the obvious script side by side, each as a process of its own, and prints wall
time, peak memory and their ratios (the median over the rounds); then the sweep alone with 5 to 40
rates. The environment variable MNIST_NPZ names the data; without it, drawn digits take their place.
Keep the machine idle meanwhile. Epochs: 10 by default; rounds: 1.
"""

import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "dropout_sweep.py"

# What one would write at first: a loop over the rates, and Keras's defaults everywhere.
OBVIOUS = """
import sys

import keras
import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

data, epochs = np.load(sys.argv[1]), int(sys.argv[2])
x_train, x_test = (data[key].reshape(len(data[key]), -1) for key in ("x_train", "x_test"))
histories = {}
for rate in [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]:
    model = keras.Sequential(
        [
            keras.Input([x_train.shape[1]]),
            keras.layers.LayerNormalization(),
            keras.layers.Dropout(rate),
            keras.layers.Dense(100, activation="tanh"),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    history = model.fit(
        x_train,
        data["y_train"],
        epochs=epochs,
        batch_size=128,
        validation_data=(x_test, data["y_test"]),
    )
    histories[rate] = history.history
for metric in ("accuracy", "val_accuracy"):
    plt.figure(figsize=(8, 5))
    for rate, history in histories.items():
        plt.plot(history[metric], label=str(rate))
    plt.legend()
    plt.savefig(metric + ".png")
"""


def measure(script: Path, *arguments: str) -> tuple[float, float]:
    """Runs the script and returns its wall time in seconds and its peak memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        cwd=script.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        sys.exit(f"{script} failed")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss: bytes there, kilobytes here
    return time.perf_counter() - started, usage.ru_maxrss / unit


def sweep_script(folder: Path, **constants: object) -> Path:
    """Writes a copy of the script with other constants and returns its path."""
    text = SCRIPT.read_text(encoding="utf-8")
    for name, value in constants.items():
        text, count = re.subn(
            rf"(?m)^{name} = .*$", f"{name} = {value!r}".replace("\\", r"\\"), text
        )
        assert count == 1, name
    path = folder / "dropout_sweep.py"
    path.write_text(text, encoding="utf-8")
    return path


def main() -> None:
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = os.environ.get("MNIST_NPZ")
        if data is None:
            sys.path.insert(0, str(SCRIPT.parent))
            import numpy as np

            import dropout_sweep

            data = folder / "drawn_digits.npz"
            np.savez(data, **dropout_sweep.draw_digits())
        data = str(Path(data).resolve())
        obvious = folder / "obvious.py"
        obvious.write_text(OBVIOUS)

        print(f"{Path(data).name}, {epochs} epochs, {platform.machine()}, {os.cpu_count()} cores\n")
        print(f"{'10 rates':<16}{'seconds':>10}{'peak MB':>10}", flush=True)
        times, peaks = {"obvious": [], "sweep": []}, {"obvious": [], "sweep": []}
        for _ in range(rounds):
            sweep = sweep_script(folder, EPOCHS=epochs, DATA_FILE=data)
            for kind, arguments in (("obvious", (obvious, data, str(epochs))), ("sweep", (sweep,))):
                seconds, peak = measure(*arguments)
                times[kind].append(seconds)
                peaks[kind].append(peak)
                print(f"{kind:<16}{seconds:>10.1f}{peak:>10.0f}", flush=True)
        speed = statistics.median(times["obvious"]) / statistics.median(times["sweep"])
        memory = statistics.median(peaks["sweep"]) / statistics.median(peaks["obvious"])
        print(f"\nThe sweep is {speed:.2f} times as fast and takes {memory:.2f} of the memory.\n")

        print(f"{'rates':<8}{'seconds':>10}{'a network':>12}{'peak MB':>10}{'a further one':>16}")
        before = None
        for rates in (5, 10, 20, 40):
            spread = [round(0.9 * i / (rates - 1), 4) for i in range(rates)]
            seconds, peak = measure(
                sweep_script(folder, EPOCHS=epochs, DATA_FILE=data, DROPOUT_RATES=spread)
            )
            further = f"{(peak - before[1]) / (rates - before[0]):.1f}" if before else ""
            before = (rates, peak)
            print(
                f"{rates:<8}{seconds:>10.1f}{seconds / rates:>12.2f}{peak:>10.0f}{further:>16}",
                flush=True,
            )


if __name__ == "__main__":
    main()
