"""How does the dropout rate change what a small network learns?

    python dropout_sweep.py

trains a multilayer perceptron on MNIST for each dropout rate from 0.0 to 0.9, all side by side, in
about a minute on two cores, and writes accuracies, losses and figures to figures/. MNIST's test
images serve for validation.

To try something else, change a constant below, or the network in `build_network`, and run it again.
"""

# The experiment
DROPOUT_RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]  # from 0 to below 1
NORMALIZATIONS = ["layer"]  # any of "layer", "batch", None; each is swept and gets a panel
SEEDS = [0]  # whole numbers, such as range(5); from three on, differences get intervals
EPOCHS = 10  # passes over the training images; from 1
BATCH_SIZE = 128  # images in a training step; from 1
HIDDEN_UNITS = 100  # units of the hidden layer; from 1
LEARNING_RATE = 0.001  # step size of the optimizer; above 0

# The data
DATASET = "mnist"  # or "fashion_mnist", "cifar10", "cifar100"; Keras downloads it once
DATA_FILE = None  # in place of DATASET, the path of an .npz in the layout of Keras's mnist.npz

# The output
FIGURES_DIR = "figures"  # the folder for all that the run writes; made where it is missing
FIGURE_FORMAT = "png"  # or "svg", "pdf"

import contextlib
import csv
import functools
import hashlib
import io
import itertools
import os
import socket
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

# The script as Python has just read it: it may be edited while it runs. A notebook has no file.
SCRIPT_PATH = Path(globals().get("__file__", ""))
SCRIPT = SCRIPT_PATH.read_bytes() if SCRIPT_PATH.is_file() else b""
os.environ["KERAS_BACKEND"] = "tensorflow"

import keras
import matplotlib.style
import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from matplotlib.ticker import AutoLocator, FixedLocator, Locator, MaxNLocator

# Network
NORMALIZATION_LAYERS = {  # functions, since one of the classes is defined further down
    "layer": lambda: SharedLayerNormalization(),
    "batch": lambda: keras.layers.BatchNormalization(),
    None: lambda: keras.layers.Identity(),
}


def build_network(
    normalization: str | None, rate: float, image_shape: tuple, classes: int
) -> keras.Model:
    """Returns an untrained, compiled network: uint8 [images, *image_shape] -> [images, classes].

    Put any Keras model here that `fit` could train on such images and their labels, with "accuracy"
    among its metrics. It is called for each rate and seed, and must make all parts of the network
    anew. Seeds share one graph, so they may differ in weights and random numbers alone. A layer of
    your own that draws these needs a `keras.random.SeedGenerator`, or they depend on other rates.
    """
    network = keras.Sequential(
        [
            keras.Input(image_shape),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Flatten(),
            NORMALIZATION_LAYERS[normalization](),
            PairedDropout(rate),
            keras.layers.Dense(HIDDEN_UNITS, activation="tanh"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    network.compile(
        optimizer=FusedAdam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return network


def build_networks(normalization: str | None, seed: int, rates: list[float], data: "Data") -> dict:
    """Returns a network for each rate, all with the same trainable weights to start from."""
    blank_batch = tf.zeros([1, *data.image_shape], tf.uint8), tf.zeros([1], tf.int64)
    networks = {}
    for rate in rates:
        keras.utils.set_random_seed(seed)
        network = build_network(normalization, rate, data.image_shape, data.classes)
        network.test_step(blank_batch)  # makes what Keras makes at a first step, such as metrics
        network.optimizer.build(network.trainable_variables)
        networks[rate] = network
    # At rate 0.0 Dropout takes no random number, so the same seed gives the layers behind it other
    # weights. All take those of the highest rate, but for layers whose size depends on the rate.
    last_network = networks[rates[-1]]
    for network in networks.values():
        for weight, last_weight in zip(network.trainable_weights, last_network.trainable_weights):
            if (weight.name, weight.shape) == (last_weight.name, last_weight.shape):
                weight.assign(last_weight)
    check_networks(networks)
    return networks


# Training
class Sweep(keras.Model):
    """A network for each rate: a step of the sweep is a step of each of them, on the same batch.

    Keras's `fit` trains it, as in the guide "Customizing what happens in fit", and TensorFlow
    spreads the networks over the cores. To make the graph takes seconds, so one sweep serves all
    seeds of a normalization, one after the other.
    """

    def __init__(self, networks: dict[float, keras.Model], data: "Data") -> None:
        super().__init__()
        steps = len(make_batches(0, data.training_size))
        # Before it has networks, whose metrics Keras 3.7 would take; each of them has an optimizer.
        self.compile(optimizer=None, steps_per_execution=steps, jit_compile=False)
        self.networks = networks
        self.data = data
        self.seed = tf.Variable(0, dtype=tf.int64)
        self.step = tf.Variable(0, dtype=tf.int64)
        self.order = tf.Variable(tf.range(data.training_size, dtype=tf.int64))
        self.random_states = []  # for reset_random_numbers
        # What a step returns in place of results, for which Keras asks when the epoch is over.
        self.no_results = dict.fromkeys(self.get_metrics_result(), np.nan)
        self.built = True

    def start_again(self, networks: dict[float, keras.Model], seed: int) -> None:
        """Takes over the state of new networks, to train them with this seed."""
        for network, new_network in zip(self.networks.values(), networks.values()):
            variables = network.variables + network.optimizer.variables
            new_variables = new_network.variables + new_network.optimizer.variables
            for variable, new_variable in zip(variables, new_variables, strict=True):
                variable.assign(new_variable)
        self.seed.assign(seed)
        self.step.assign(0)
        # What draws random numbers without a seed draws the same, whichever sweep is first.
        reset_random_numbers(self.random_states)

    def train_step(self, positions: tf.Tensor) -> dict[str, float]:
        """Trains all networks on the images at these positions in the epoch's order: int64 [n]."""
        indices = tf.gather(self.order, positions)
        batch = tf.gather(self.data.images, indices), tf.gather(self.data.labels, indices)
        self.step.assign_add(1)
        # Read here, once for all networks, so that their random numbers are drawn once, too.
        seed = self.seed.read_value()
        step = self.step.read_value()
        for network in self.networks.values():
            with PairedDropout.share_numbers(seed, step, batch_size=tf.size(indices)):
                network.train_step(batch)
        return self.no_results

    def test_step(self, indices: tf.Tensor) -> dict[str, float]:
        """Evaluates all networks on the images with these indices, with dropout off: int64 [n]."""
        batch = tf.gather(self.data.images, indices), tf.gather(self.data.labels, indices)
        for network in self.networks.values():
            network.test_step(batch)
        return self.no_results

    @property
    def metrics(self) -> list[keras.Metric]:
        """The metrics of all networks; Keras resets them before each epoch."""
        return [metric for network in self.networks.values() for metric in network.metrics]

    def get_metrics_result(self) -> dict[str, tf.Tensor]:
        """Returns the results of all networks; "accuracy_0.1" is the accuracy of rate 0.1."""
        results = {}
        for rate, network in self.networks.items():
            for name, value in network.get_metrics_result().items():
                results[f"{name}_{rate}"] = value
        return results


class EachEpoch(keras.callbacks.Callback):
    """Shuffles the training images before each epoch, and prints a row of the table after it."""

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        self.started = time.monotonic()
        random = np.random.default_rng([int(self.model.seed), epoch + 1])
        self.model.order.assign(random.permutation(self.model.data.training_size))

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        accuracies = [100 * logs[f"val_accuracy_{rate}"] for rate in self.model.networks]
        cells = "".join(f" {accuracy:>5.2f}" for accuracy in accuracies)
        print(f"{epoch + 1:>5}{cells} {time.monotonic() - self.started:>7.1f}", flush=True)


def make_batches(first: int, end: int) -> tf.data.Dataset:
    """Returns the numbers from first to below end in batches, int64 [up to BATCH_SIZE]."""
    options = tf.data.Options()
    options.autotune.enabled = False  # or fit may wait for its thread at the end, for seconds
    return tf.data.Dataset.range(first, end).batch(BATCH_SIZE).with_options(options)


def train_sweep(sweep: Sweep) -> dict[str, np.ndarray]:
    """Trains a sweep, prints a row for each epoch, and returns its results: [rates, epochs]."""
    training = make_batches(0, sweep.data.training_size)
    validation = make_batches(sweep.data.training_size, len(sweep.data.labels))
    callbacks = [EachEpoch()]  # others of Keras's can stand here, too, such as a CSVLogger
    print("epoch" + "".join(f" {rate:>5}" for rate in sweep.networks) + " seconds")
    options = {"epochs": EPOCHS, "callbacks": callbacks, "shuffle": False, "verbose": 0}
    history = sweep.fit(training, validation_data=validation, **options).history
    dropout_off = sweep.evaluate(training, return_dict=True, verbose=0)
    results = {name: np.full([len(sweep.networks), EPOCHS], np.nan) for name in RESULT_NAMES}
    for index, rate in enumerate(sweep.networks):
        for name in ("accuracy", "val_accuracy", "loss", "val_loss"):
            values = history[f"{name}_{rate}"]
            results[name][index, : len(values)] = values  # fewer where a callback has ended it
        results["accuracy_dropout_off"][index, len(values) - 1] = dropout_off[f"accuracy_{rate}"]
    return results


def run_sweeps(rates: list[float], data: "Data", results: dict, record: Path) -> dict:
    """Trains what the results lack, and records it; returns the last trained networks by rate."""
    for normalization in NORMALIZATIONS:  # what cannot be built ends the run here
        build_network(normalization, rates[-1], data.image_shape, data.classes).summary()
    sweep = None
    indices = list(np.ndindex(len(NORMALIZATIONS), len(SEEDS)))
    for number, index in enumerate(indices, start=1):
        normalization = NORMALIZATIONS[index[0]]
        seed = SEEDS[index[1]]
        title = f"normalization {normalization or 'none'}, seed {seed}, validation accuracy in %"
        print(f"\nSweep {number} of {len(indices)}: {title}")
        if not np.isnan(results["accuracy"][index]).all():
            print("Trained before the run was interrupted.")
            continue
        networks = build_networks(normalization, seed, rates, data)
        if sweep is None or seed == SEEDS[0]:
            sweep = Sweep(networks, data)
        sweep.start_again(networks, seed)
        for name, values in train_sweep(sweep).items():
            results[name][index] = values
        buffer = io.BytesIO()
        np.savez(buffer, **results)
        write_file(record.name, buffer.getvalue())
    return dict(sweep.networks) if sweep else {}


# Main
def main() -> dict[float, keras.Model]:
    """Runs what the constants describe, and returns the last trained networks by rate, if any."""
    check_constants()
    global LEARNING_RATE
    LEARNING_RATE = float(LEARNING_RATE)  # Keras takes no whole number
    if hasattr(sys.stdout, "reconfigure"):  # it has not in a notebook
        sys.stdout.reconfigure(errors="backslashreplace")  # for what a terminal cannot show
    with contextlib.suppress(RuntimeError):  # where a notebook has used TensorFlow before
        # The matrices are too small to split: let the networks share out the cores instead.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    rates = round_rates()
    shape = [len(NORMALIZATIONS), len(SEEDS), len(rates), EPOCHS]
    results = {name: np.full(shape, np.nan) for name in RESULT_NAMES}
    try:
        data = load_data()
        write_file(".network_dropout_trial", bytes(1_000_000)).unlink(missing_ok=True)  # any room?
        record = find_record(data)
        with contextlib.suppress(*UNREADABLE):  # there is no record, or a damaged one
            results.update(zip(RESULT_NAMES, read_archive(record, RESULT_NAMES)))
        networks = run_sweeps(rates, data, results, record)
        write_results(data.name, rates, results)
        end_record(record)
    except KeyboardInterrupt:
        finished = ~np.isnan(results["accuracy"]).all(axis=(2, 3))
        advice = "run the script again, unchanged, to continue" if SCRIPT else "none is on record"
        sys.exit(f"\nInterrupted; sweeps finished: {finished.sum()} of {finished.size}; {advice}.")
    return networks


# What makes it fast
@keras.saving.register_keras_serializable("dropout_sweep")
class PairedDropout(keras.layers.Dropout):
    """Keras's Dropout, but in a sweep its random numbers are the same for all rates.

    So what is dropped at rate 0.2 is dropped at 0.3 too, and TensorFlow draws the numbers once. It
    is Keras's own outside of a sweep, with a `seed` or a `noise_shape`, and where the size of the
    first axis is known, which is no batch then.
    """

    seeds = None  # while numbers are shared, an iterator: a seed for each call, int64 [2]

    @classmethod
    @contextlib.contextmanager
    def share_numbers(cls, seed: tf.Tensor, step: tf.Tensor, batch_size: tf.Tensor) -> Iterator:
        """Within it, all networks' first calls draw the same numbers, their second calls others."""
        # Any two integers would do, if only no two calls, steps or seeds have the same.
        cls.seeds = (tf.stack([seed + 2**31 * call, 4 * step + 1]) for call in itertools.count())
        cls.batch_size = batch_size
        try:
            yield
        finally:
            cls.seeds = None

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        is_plain = self.seed is None and self.noise_shape is None and inputs.shape[0] is None
        if not (training and is_plain and self.seeds):
            return super().call(inputs, training=training)
        noise_shape = [self.batch_size, *keras.ops.shape(inputs)[1:]]
        return tf.nn.experimental.stateless_dropout(
            inputs, self.rate, seed=next(self.seeds), rng_alg="philox", noise_shape=noise_shape
        )


@keras.saving.register_keras_serializable("dropout_sweep")
class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam (Kingma and Ba, arXiv 1412.6980), with one operation in place of a dozen.

    AMSGrad, the sparse gradients of an Embedding, and other types than float32 are left to Keras.
    """

    def apply(self, grads: list, trainable_variables: list | None = None) -> None:
        # All variables need the same powers of beta: a step computes them once.
        step = tf.cast(self.iterations + 1, tf.float32)
        self.beta_1_power = self.beta_1**step
        self.beta_2_power = self.beta_2**step
        super().apply(grads, trainable_variables)

    def update_step(
        self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor
    ) -> None:
        if self.amsgrad or variable.dtype != tf.float32 or isinstance(gradient, tf.IndexedSlices):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=self.beta_1_power,
            beta2_power=self.beta_2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("dropout_sweep")
class SharedLayerNormalization(keras.layers.Layer):
    """Layer normalization (Ba et al., arXiv 1607.06450) over the last axis, with its scale last.

    What comes before the scale is the same for all networks, and TensorFlow computes it once.
    """

    def build(self, input_shape: tuple) -> None:
        self.gamma = self.add_weight(shape=input_shape[-1:], initializer="ones", name="gamma")
        self.beta = self.add_weight(shape=input_shape[-1:], initializer="zeros", name="beta")

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
        standardized = (inputs - mean) * tf.math.rsqrt(variance + 0.001)
        return standardized * self.gamma + self.beta


def reset_random_numbers(states: list[tf.Variable]) -> None:
    """Sets anew what Python, NumPy, TensorFlow and `keras.random` draw without a seed."""
    keras.utils.set_random_seed(0)
    # Keras makes a new generator after this, but the graph of a sweep draws from the first one,
    # whose state has no public name: we find it as the variable of a graph that draws a number.
    draw = tf.function(keras.random.uniform, autograph=False).get_concrete_function([])
    states += draw.variables
    states[0].assign([0, 0])


# Statistics
# Results by name: float [normalizations, seeds, rates, epochs], as in Keras's History. The accuracy
# on training images with dropout off is measured after a network's last epoch alone; NaN elsewhere.
RESULT_NAMES = ["accuracy", "val_accuracy", "loss", "val_loss", "accuracy_dropout_off"]
MIN_SEEDS = 3  # from so many on, differences are tested


@functools.cache
def critical_value(seeds: int, rates: int) -> float:
    """Returns how many standard errors make a 95 % interval that holds for all rates at once."""
    random = np.random.default_rng(0)
    largest = []  # in each of 50,000 simulated runs in which dropout has no effect
    for _ in range(100):
        values = random.standard_normal([500, seeds, rates], dtype=np.float32)
        differences = values[..., 1:] - values[..., :1]
        errors = abs(differences.mean(axis=1)) / differences.std(axis=1, ddof=1) * seeds**0.5
        largest.append(errors.max(axis=1))
    return np.quantile(largest, 0.95)


def compare_with_first(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each rate's mean difference from the first, and the half-width of its interval.

    Float [seeds, rates, ...] -> [rates, ...] each. Mean minus and plus half-width is a 95 %
    interval for all rates at once: Dunnett's comparison with a control (JASA 50, 1955, 1096-1121),
    taken seed by seed, since the rates of a seed share weights and batches. It is infinite under
    MIN_SEEDS, and where all seeds have the same difference: that shows how coarse accuracies are.
    """
    seeds, rates = values.shape[:2]
    differences = values - values[:, :1]
    half_width = np.full(values.shape[1:], np.inf)
    if seeds >= MIN_SEEDS and rates > 1:
        half_width = critical_value(seeds, rates) * differences.std(axis=0, ddof=1) / seeds**0.5
        half_width[np.ptp(differences, axis=0) < 1e-9] = np.inf
    half_width[0] = 0
    return differences.mean(axis=0), half_width


def print_table(rates: list[float], final: dict) -> None:
    """Prints one normalization's results after the last epoch: % [seeds, rates] each."""
    names = ["accuracy", "accuracy_dropout_off", "val_accuracy"]
    difference, half_width = compare_with_first(final["val_accuracy"])
    print(f"{'rate':>12}{'training':>12}{'dropout off':>12}{'validation':>12}{'difference':>16}")
    for index, rate in enumerate(rates):
        cells = "".join(f"{final[name][:, index].mean():>12.2f}" for name in names)
        interval = f"{difference[index]:+.2f} ± {half_width[index]:.2f}"
        line = f"{rate:>12}{cells}{interval:>16}"
        if abs(difference[index]) > half_width[index]:
            line += "  better" if difference[index] > 0 else "  worse"
        print(line)


# Figures
# Vertical axes that give room to what is close together: label, scale, ticks
ACCURACY_SCALE = {
    "value": "function",
    "functions": (lambda y: -np.log(np.maximum(100.5 - y, 0.1)), lambda y: 100.5 - np.exp(-y)),
}
ACCURACY_TICKS = [0, 30, 50, 60, 70, 80, 85, 90, 92, 94, 95, 96, 97, 98, 99, 99.5, 100]
ACCURACY_AXIS = ("accuracy (%), stretched near 100", ACCURACY_SCALE, ACCURACY_TICKS)
LOSS_SCALE = {"value": "asinh", "linear_width": 0.05}
LOSS_AXIS = ("loss, stretched near 0", LOSS_SCALE, [0, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5])
DIFFERENCE_SCALE = {"value": "asinh", "linear_width": 0.5}
DIFFERENCE_TICKS = [-50, -20, -10, -5, -2, -1, -0.5, -0.2, 0, 0.2, 0.5, 1, 2, 5, 10, 20, 50]
DIFFERENCE_AXIS = ("percentage points, stretched near 0", DIFFERENCE_SCALE, DIFFERENCE_TICKS)


def make_panels(title: str, x_label: str, x_ticks: Locator, y_axis: tuple) -> Figure:
    """Returns a figure with a panel for each normalization, all on the same axes."""
    figure = Figure(figsize=(4 + 4 * len(NORMALIZATIONS), 5), dpi=150, layout="constrained")
    figure.suptitle(title, fontsize="medium", parse_math=False)
    figure.subplots(1, len(NORMALIZATIONS), sharex=True, sharey=True)
    for axes, normalization in zip(figure.axes, NORMALIZATIONS):
        axes.set_title(f"normalization: {normalization or 'none'}", parse_math=False)
        axes.set_xlabel(x_label)
        axes.grid(which="both", alpha=0.3)
    y_label, scale, y_ticks = y_axis
    axes = figure.axes[0]
    axes.set_ylabel(y_label)
    axes.set_yscale(**scale)
    axes.xaxis.set(major_locator=x_ticks)
    axes.yaxis.set(major_locator=FixedLocator(y_ticks), major_formatter="{x:g}")
    axes.yaxis.set(minor_locator=AutoLocator(), minor_formatter="{x:g}")  # for narrow axes
    return figure


def plot_epochs(title: str, y_axis: tuple, rates: list[float], values: np.ndarray) -> Figure:
    """Plots means over the seeds by epoch, in bands: [normalizations, seeds, rates, epochs]."""
    figure = make_panels(title, "epoch", MaxNLocator(10, integer=True), y_axis)
    epochs = np.arange(1, values.shape[-1] + 1)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.93, len(rates)))  # dark to light
    for axes, panel in zip(figure.axes, values):
        means = panel.mean(axis=0)
        spreads = panel.std(axis=0, ddof=1) if len(panel) > 1 else np.zeros_like(means)
        looks = zip(rates, means, spreads, colors, itertools.cycle("ov^sD<>PX*"))
        for rate, mean, spread, color, marker in looks:
            axes.plot(epochs, mean, color=color, marker=marker, ms=4, label=f"rate {rate}")
            axes.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure


def plot_differences(title: str, rates: list[float], accuracies: np.ndarray) -> Figure:
    """Plots differences from the first rate: % [normalizations, seeds, rates, epochs]."""
    differences = (accuracies - accuracies[:, :, :1]).mean(axis=1, keepdims=True)  # no band
    figure = plot_epochs(title, DIFFERENCE_AXIS, rates, differences)
    for axes, values in zip(figure.axes, accuracies):
        for line, mean, half_width in zip(axes.lines, *compare_with_first(values)):
            line.set_markevery(abs(mean) > half_width if len(values) >= MIN_SEEDS else 1)
    return figure


def plot_by_rate(title: str, rates: list[float], final: dict) -> Figure:
    """Plots accuracies after the last epoch by rate: % [normalizations, seeds, rates] each."""
    figure = make_panels(title, "dropout rate", FixedLocator(rates, nbins=12), ACCURACY_AXIS)
    panels = zip(figure.axes, final["accuracy_dropout_off"], final["val_accuracy"])
    for axes, training, validation in panels:
        label = "training images,\ndropout off"
        axes.plot(rates, training.mean(axis=0), "s--", ms=3, color="tab:gray", label=label)
        _, half_width = compare_with_first(validation)
        half_width[np.isinf(half_width)] = np.nan  # no interval, no bar
        mean = validation.mean(axis=0)
        axes.errorbar(rates, mean, half_width, fmt="o-", ms=3, capsize=3, label="validation")
        axes.axhline(mean[0], color="black", lw=0.8, label=f"validation,\nrate {rates[0]}")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure


def plot_results(data_name: str, rates: list[float], results: dict, final: dict) -> dict:
    """Returns the figures of results by epoch, and after the last one, by their names."""
    run = f"{data_name}, epochs: {EPOCHS}, seeds: {len(SEEDS)}, BATCH_SIZE = {BATCH_SIZE}"
    run += f", HIDDEN_UNITS = {HIDDEN_UNITS}, LEARNING_RATE = {LEARNING_RATE:g}"
    lines = "means, in bands of one standard deviation" if len(SEEDS) > 1 else "one seed"
    tested = len(SEEDS) >= MIN_SEEDS
    bars = "sure where bars miss the line: 95 %, all rates at once" if tested else "too few seeds"
    marks = "marked: 95 % sure, each epoch tested by itself" if tested else "too few seeds"
    by_rate = f"Accuracy after the last epoch ({bars})\n{run}"
    differences = f"Validation accuracy minus that of rate {rates[0]} ({marks})\n{run}"
    figures = {
        "by_rate": plot_by_rate(by_rate, rates, final),
        "difference_by_epoch": plot_differences(differences, rates, results["val_accuracy"]),
    }
    for name, measure, y_axis in (
        ("accuracy", "Training accuracy, dropout on", ACCURACY_AXIS),
        ("val_accuracy", "Validation accuracy", ACCURACY_AXIS),
        ("val_loss", "Validation loss", LOSS_AXIS),
    ):
        figures[name] = plot_epochs(f"{measure} ({lines})\n{run}", y_axis, rates, results[name])
    return figures


# Data
ARRAY_NAMES = ["x_train", "y_train", "x_test", "y_test"]
IMAGE_SETS = ["mnist", "fashion_mnist", "cifar10", "cifar100"]
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


class Data(NamedTuple):
    """Images with their labels: first those to train on, then those for validation."""

    name: str
    images: tf.Tensor  # uint8 [images, *image_shape]
    labels: tf.Tensor  # int64 [images]
    training_size: int  # how many of them are to train on
    image_shape: tuple[int, ...]
    classes: int


def load_data() -> Data:
    """Returns DATASET, or what is in DATA_FILE."""
    name, arrays = load_dataset() if DATA_FILE is None else read_data_file()
    x_train, y_train, x_test, y_test = arrays
    print(f"{name}: {len(x_train)} training images, {len(x_test)} for validation")
    with tf.device("CPU"):  # TensorFlow gathers uint8 on no GPU, and would copy the images back
        images = tf.constant(np.concatenate([x_train, x_test]), tf.uint8)
        labels = tf.constant(np.concatenate([y_train, y_test]).reshape(-1), tf.int64)
    return Data(name, images, labels, len(x_train), x_train.shape[1:], int(y_train.max()) + 1)


def load_dataset() -> tuple[str, list[np.ndarray]]:
    """Returns a name and DATASET, through Keras's cache; drawn digits where MNIST can't be had."""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds; Keras would wait for ever on a silent connection
    try:
        train, test = getattr(keras.datasets, DATASET).load_data()
        return DATASET, [*train, *test]
    except Exception as error:
        # No network: a bare Exception. A broken connection: OSError. A damaged file: ValueError.
        if type(error) is not Exception and not isinstance(error, (OSError, ValueError)):
            raise
        if DATASET != "mnist":
            sys.exit(f"DATASET is {DATASET!r}, which can't be loaded: {error}. Name a DATA_FILE.")
        print(f"MNIST cannot be downloaded ({error}). Digits drawn from fonts stand in for it,")
        print("with other numbers; for the real ones, name an .npz of MNIST in DATA_FILE.")
    finally:
        socket.setdefaulttimeout(timeout)
    return "drawn_digits", draw_digits()


def read_archive(path: Path, names: list[str]) -> list[np.ndarray]:
    """Returns the arrays of an .npz file that have these names; what fails is in UNREADABLE."""
    zipfile.ZipFile(path).close()  # NumPy would take what is no archive for a pickle
    with np.load(path) as archive:
        return [np.asarray(archive[name]) for name in names]


def read_data_file() -> tuple[str, list[np.ndarray]]:
    """Returns a name and the arrays of DATA_FILE, or ends the run with a sentence."""
    try:
        arrays = read_archive(Path(DATA_FILE).expanduser(), ARRAY_NAMES)
    except UNREADABLE as error:
        sys.exit(f"DATA_FILE is '{DATA_FILE}'; it must be an .npz with {ARRAY_NAMES}: {error}.")
    x_train, y_train, x_test, y_test = arrays
    fits = (
        all(array.dtype.kind in "iu" and array.size > 0 for array in arrays)
        and min(array.min() for array in arrays) >= 0
        and max(x_train.max(), x_test.max()) <= 255
        and y_test.max() <= y_train.max()
        and x_train.shape == (y_train.size, *x_test.shape[1:])
        and len(x_test) == y_test.size
    )
    if not fits:
        held = ", ".join(f"{array.dtype} {list(array.shape)}" for array in arrays)
        wanted = "images of one size, their pixels whole numbers from 0 to 255, and for each image"
        wanted += " one whole number from 0 up as its label, in y_test none above those in y_train"
        sys.exit(f"DATA_FILE is '{DATA_FILE}', with {held}; it must hold {wanted}.")
    return Path(DATA_FILE).stem, arrays


@matplotlib.style.context("default")  # the same digits, whatever the user's settings
def draw_digits(train_size: int = 60_000, test_size: int = 10_000) -> list[np.ndarray]:
    """Returns a stand-in for MNIST, in the order of ARRAY_NAMES, the same at every call.

    Digits in Matplotlib's fonts, of several sizes, turned and noisy: uint8 [images, 28, 28].
    """
    random = np.random.default_rng(0)
    looks = 300  # of each digit; the last 50 are for validation
    sheet = Figure(figsize=(10, looks), dpi=28, facecolor="black")  # a row for each look
    for look, digit in itertools.product(range(looks), range(10)):
        font = random.choice(["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono"])
        style = {"family": font, "size": random.uniform(45, 65), "rotation": random.normal(0, 12)}
        style |= {"ha": "center", "va": "center", "color": "white"}
        sheet.text((digit + 0.5) / 10, (look + 0.5) / looks, str(digit), **style)
    buffer = io.BytesIO()
    sheet.savefig(buffer, format="rgba")
    pixels = np.frombuffer(buffer.getvalue(), np.uint8).reshape(looks, 28, 10, 28, 4)
    digits = pixels[..., 0].swapaxes(1, 2)  # [looks, digits, 28, 28]; red will do
    arrays = []
    for size, first, end in ((train_size, 0, 250), (test_size, 250, looks)):
        labels = random.integers(10, size=size)
        noise = random.integers(100, size=(size, 28, 28), dtype=np.uint8)
        arrays += [np.maximum(digits[random.integers(first, end, size), labels], noise), labels]
    return arrays


# Files
def write_file(name: str, content: bytes) -> Path:
    """Writes a file to FIGURES_DIR, whole or not at all, and returns its path."""
    path = Path(os.path.expanduser(FIGURES_DIR), name)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except (OSError, ValueError) as error:  # ValueError: a name that the system cannot take
        with contextlib.suppress(OSError, ValueError):
            part.unlink()
        place = f"FIGURES_DIR is {str(FIGURES_DIR)!r}, where {name} cannot be written ({error})"
        sys.exit(f"{place}; it must be a folder of yours on a disk with room.")
    return path


def as_csv(rates: list[float], results: dict) -> bytes:
    """Returns the results as CSV, with a row for each network and epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["normalization", "seed", "dropout_rate", "epoch", *results])
    names = [normalization or "none" for normalization in NORMALIZATIONS]
    keys = itertools.product(names, SEEDS, rates, range(1, EPOCHS + 1))
    for key, *values in zip(keys, *map(np.ravel, results.values()), strict=True):
        cells = ["" if np.isnan(value) else f"{value:.6f}" for value in values]
        writer.writerow([*key, *cells])
    return text.getvalue().encode()


def write_results(data_name: str, rates: list[float], results: dict) -> None:
    """Prints, plots and writes what was measured, with the script that has measured it."""
    percent = {name: 100 * results[name] for name in results if "accuracy" in name}
    is_last = ~np.isnan(results["accuracy_dropout_off"])  # one epoch of each network
    final = {name: values[is_last].reshape(is_last.shape[:-1]) for name, values in percent.items()}
    for index, normalization in enumerate(NORMALIZATIONS):
        print(f"\nAccuracy in % after the last epoch, normalization {normalization or 'none'}")
        print_table(rates, {name: values[index] for name, values in final.items()})
    contents = {"script.py": SCRIPT} if SCRIPT else {}
    contents["history.csv"] = as_csv(rates, results)
    for name, figure in plot_results(data_name, rates, results | percent, final).items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=FIGURE_FORMAT)
        contents[f"{name}.{FIGURE_FORMAT}"] = buffer.getvalue()
    for name, content in contents.items():
        print(f"Wrote {write_file(f'network_dropout_{data_name}_{name}', content)}")


# Records, from which a run that was interrupted continues
def find_record(data: Data) -> Path:
    """Returns the path of this run's record, named by a digest of all that its results depend on.

    These are the script, its constants (their values may come from elsewhere), versions and data.
    Without a file of the script, the digest is another one in each run.
    """
    constants = [f"{name} = {value!r}" for name, value in globals().items() if name.isupper()]
    # A function, which stands in the script, has another address in each run.
    constants = [text for text in constants if "<function" not in text]
    versions = [tf.__version__, keras.__version__, np.__version__]
    digest = hashlib.sha256(SCRIPT or os.urandom(20))
    digest.update(repr([constants, versions, data.images.shape, data.training_size]).encode())
    digest.update(data.images.numpy())
    digest.update(data.labels.numpy())
    return Path(os.path.expanduser(FIGURES_DIR), f".network_dropout_{digest.hexdigest()[:20]}.npz")


def end_record(record: Path) -> None:
    """Deletes the record of a finished run, and names those of other runs, for their owner."""
    record.unlink(missing_ok=True)
    others = [path.name for path in sorted(record.parent.glob(".network_dropout_*.npz"))]
    if others:
        print(f"Other runs have not finished; their records are still here: {', '.join(others)}")


# Checks
def round_rates() -> list[float]:
    """Returns DROPOUT_RATES as they are trained: sorted, and 0.1 + 0.2 as 0.3."""
    return sorted(round(float(rate), 10) for rate in DROPOUT_RATES)


def is_number(value: object, kind: type, least: float, end: float = np.inf) -> bool:
    """Returns whether this is a number of that kind, from least to below end."""
    return isinstance(value, kind) and not isinstance(value, bool) and least <= value < end


def is_list(values: object, fits: Callable[[object], bool]) -> bool:
    """Returns whether this is a list of different values that fit, at least one."""
    is_full = isinstance(values, (list, tuple, range)) and len(values) > 0
    return is_full and all(fits(value) for value in values) and len(set(values)) == len(values)


def check_constants() -> None:
    """Ends the run with a sentence about the first constant that holds what it must not."""
    real = int | float
    names = list(NORMALIZATION_LAYERS)
    is_rate = functools.partial(is_number, kind=real, least=0, end=1)
    rates_fit = is_list(DROPOUT_RATES, is_rate) and is_list(round_rates(), is_rate)
    names_fit = is_list(NORMALIZATIONS, lambda name: name in names)
    seeds_fit = is_list(SEEDS, lambda seed: is_number(seed, int, 0, 2**31))
    checks = [
        ("DROPOUT_RATES", rates_fit, "a list of different numbers from 0 to below 1"),
        ("NORMALIZATIONS", names_fit, f"a list out of {names}"),
        ("SEEDS", seeds_fit, "a list of different whole numbers from 0 to 2147483647"),
        ("EPOCHS", is_number(EPOCHS, int, 1), "a whole number from 1"),
        ("BATCH_SIZE", is_number(BATCH_SIZE, int, 1), "a whole number from 1"),
        ("HIDDEN_UNITS", is_number(HIDDEN_UNITS, int, 1), "a whole number from 1"),
        ("LEARNING_RATE", is_number(LEARNING_RATE, real, 1e-30), "a number above 0"),
        ("DATASET", DATASET in IMAGE_SETS, f"one of {IMAGE_SETS}"),
        ("DATA_FILE", isinstance(DATA_FILE, str | Path | None), "None or the path of a file"),
        ("FIGURES_DIR", isinstance(FIGURES_DIR, str | Path), "the path of a folder"),
        ("FIGURE_FORMAT", FIGURE_FORMAT in ["png", "svg", "pdf"], '"png", "svg" or "pdf"'),
    ]
    for name, fits, wanted in checks:
        if not fits:
            sys.exit(f"{name} is {globals()[name]!r}; it must be {wanted}.")


def check_networks(networks: dict[float, keras.Model]) -> None:
    """Ends the run with a sentence where a network lacks a measure, or two share a variable."""
    owners = {}
    for rate, network in networks.items():
        measures = list(network.get_metrics_result())
        if not {"loss", "accuracy"} <= set(measures):
            sys.exit(f'build_network measures {measures}; it must have metrics=["accuracy"].')
        for variable in network.variables + network.metrics_variables + network.optimizer.variables:
            if owners.setdefault(id(variable), rate) != rate:
                sys.exit(f"Networks share {variable.path}; it must be made anew in build_network.")


if __name__ == "__main__":
    networks = main()
