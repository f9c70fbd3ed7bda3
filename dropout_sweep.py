"""How does the dropout rate change what a small network learns?

    python dropout_sweep.py

trains a multilayer perceptron on MNIST for each dropout rate from 0.0 to 0.9, all side by side, in
about a minute on two cores, and writes accuracies, losses and figures to figures/. MNIST's test
images serve for validation.

To try something else, change a constant below, or the network in `build_network`, and run it again.
"""

import contextlib
import csv
import functools
import gc
import hashlib
import io
import itertools
import math
import os
import socket
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

# The experiment
DROPOUT_RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]  # from 0 to below 1
NORMALIZATIONS = ["layer"]  # any of "layer", "batch", None; each is swept and gets a panel
SEEDS = [0]  # whole numbers, such as range(5); from three on, differences get intervals
EPOCHS = 10  # passes over the training images; from 1
BATCH_SIZE = 128  # images in a training step; from 1
HIDDEN_UNITS = 100  # units of the hidden layer; from 1
LEARNING_RATE = 0.001  # step size of the optimizer; a float above 0

# The data
DATASET = "mnist"  # or "fashion_mnist", "cifar10", "cifar100"; Keras downloads it once
DATA_FILE = None  # in place of DATASET, the path of an .npz in the layout of Keras's mnist.npz

# The output
FIGURES_DIR = "figures"  # the folder for all that the run writes; made where it is missing
FIGURE_FORMAT = "png"  # or "svg", "pdf"

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # errors alone
gc.disable()  # imports leave no garbage, and to look for it would take half a second
with open(os.devnull, "w") as nowhere:
    error_stream = os.dup(2)
    os.dup2(nowhere.fileno(), 2)  # TensorFlow tells of missing drivers as it is imported
    try:
        import keras
        import matplotlib.style
        import numpy as np
        import tensorflow as tf
        from matplotlib.figure import Figure
        from matplotlib.ticker import AutoLocator, FixedLocator, MaxNLocator
    finally:
        os.dup2(error_stream, 2)
gc.freeze()  # so that what stays is not looked at again
gc.enable()
with contextlib.suppress(RuntimeError):  # where a notebook has used TensorFlow before
    # The matrices are too small to split: let the networks share out the cores instead.
    tf.config.threading.set_intra_op_parallelism_threads(1)


# Network
@keras.saving.register_keras_serializable("dropout_sweep")
class PairedDropout(keras.layers.Dropout):
    """Keras's Dropout, but in a sweep its random numbers are the same for all rates.

    So what is dropped at rate 0.2 is dropped at 0.3 too, and TensorFlow draws the numbers once for
    all networks. Outside of a sweep, or with a `seed` or a `noise_shape`, it is Keras's own.
    """

    seeds = None  # in a training step of a sweep, an iterator: a seed for each call, int64 [2]
    batch_size = None  # and the number of images: one tensor that all networks of the sweep share

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        is_paired = self.seeds is not None and self.seed is None and self.noise_shape is None
        if not (training and is_paired):
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

    def build(self, variables: list) -> None:
        super().build(variables)
        self.momentums = [each for each in self.variables if each.name.endswith("_momentum")]
        self.velocities = [each for each in self.variables if each.name.endswith("_velocity")]

    def apply(self, grads: list, trainable_variables: list | None = None) -> None:
        step = tf.cast(self.iterations + 1, tf.float32)
        self.beta_powers = [self.beta_1**step, self.beta_2**step]  # once for all variables
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
            m=self.momentums[index].value.handle,
            v=self.velocities[index].value.handle,
            beta1_power=self.beta_powers[0],
            beta2_power=self.beta_powers[1],
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


@keras.saving.register_keras_serializable("dropout_sweep")
class SharedLayerNormalization(keras.layers.LayerNormalization):
    """Keras's LayerNormalization (Ba et al., arXiv 1607.06450), with its scale last.

    What comes before the scale is the same for all networks, and TensorFlow computes it once. Over
    other axes than the last, without scale or center, or in other types than float32 it is Keras's.
    """

    def call(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        is_usual = self.axis in (-1, [-1]) and self.gamma is not None and self.beta is not None
        is_float32 = self.compute_dtype == "float32" and inputs.dtype == tf.float32
        if not (training and is_usual and is_float32):
            return super().call(inputs)
        mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
        standardized = (inputs - mean) * tf.math.rsqrt(variance + self.epsilon)
        return standardized * self.gamma + self.beta


NORMALIZATION_LAYERS = {  # what makes the layer when it is called
    "layer": SharedLayerNormalization,
    "batch": keras.layers.BatchNormalization,
    None: keras.layers.Identity,
}


def build_network(
    normalization: str | None, rate: float, image_shape: tuple, classes: int
) -> keras.Model:
    """Returns an untrained, compiled network: uint8 [images, *image_shape] -> [images, classes].

    Put any Keras model here that `fit` could train on such images and their labels, with "accuracy"
    among its metrics. From seed to seed only its weights and random numbers may differ.
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


class Rehearsal(keras.Layer):
    """Takes a step without numbers, which makes all variables that Keras makes at a first step."""

    def call(self, data: list, network: keras.Model) -> dict:
        return network.test_step(data)


def build_networks(
    normalization: str | None, seed: int, rates: list[float], image_shape: tuple, classes: int
) -> list[keras.Model]:
    """Returns a network for each rate, all with the same trainable weights to start from."""
    networks = []
    for rate in rates:
        keras.utils.set_random_seed(seed)
        network = build_network(normalization, rate, image_shape, classes)
        data = [keras.Input(image_shape, dtype="uint8"), keras.Input([], dtype="int64")]
        Rehearsal()(data, network=network)
        networks.append(network)
    # Keras draws one random number more for a Dropout whose rate is above 0, and so other weights
    # for the layers after it. To compare nothing but rates, all take the weights of the last one.
    for network in networks:
        for weight, last_weight in zip(network.trainable_weights, networks[-1].trainable_weights):
            if (weight.name, weight.shape) == (last_weight.name, last_weight.shape):
                weight.assign(last_weight)
        network.optimizer.build(network.trainable_variables)
    check_networks(networks)
    return networks


# Training
IMAGES = tf.TensorSpec(None, tf.uint8)  # [images, *image_shape]
NUMBERS = tf.TensorSpec([None], tf.int64)  # [images]
NUMBER = tf.TensorSpec([], tf.int64)


@tf.autograph.experimental.do_not_convert  # as in Keras's fit; tracing takes half the time
def take_results(networks: list[keras.Model]) -> tf.Tensor:
    """Returns losses and accuracies, float [2, networks], of all steps since the last call."""
    values = []
    for network in networks:
        results = network.get_metrics_result()
        values.append([results["loss"], results["accuracy"]])
        network.reset_metrics()
    return tf.transpose(values)


class Sweep:
    """A network for each rate, trained side by side on the same batches in one TensorFlow graph.

    Each takes Keras's own steps, as in `fit`, while TensorFlow spreads the networks over the cores.
    The graph takes seconds to make, so it serves for all seeds of a normalization. It trains on
    these images: uint8 [images, *image_shape], with their labels: int64 [images].
    """

    def __init__(self, networks: list[keras.Model], images: tf.Tensor, labels: tf.Tensor) -> None:
        self.networks = networks
        self.images = images
        self.labels = labels
        # What draws random numbers without a seed draws the same, whichever sweep is first.
        keras.utils.set_random_seed(0)
        graph = self.train_epoch.get_concrete_function()
        self.first_values = [(variable, variable.numpy()) for variable in graph.variables]

    def start_again(self, networks: list[keras.Model]) -> None:
        """Takes over the state of new networks; what else the graph has changed is put back."""
        for variable, value in self.first_values:
            variable.assign(value)
        for network, new_network in zip(self.networks, networks):
            variables = network.variables + network.optimizer.variables
            new_variables = new_network.variables + new_network.optimizer.variables
            for variable, new_variable in zip(variables, new_variables, strict=True):
                variable.assign(new_variable)

    @tf.function(input_signature=[NUMBERS, NUMBER, NUMBER])
    def train_epoch(self, indices: tf.Tensor, seed: tf.Tensor, epoch: tf.Tensor) -> tf.Tensor:
        """Trains every network in the order of the indices, and takes results; epochs from 1."""
        batches = (tf.size(indices, tf.int64) + BATCH_SIZE - 1) // BATCH_SIZE
        for batch in tf.range(batches):
            # One batch after the other, or a layer's own random numbers would depend on timing.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            batch_indices = indices[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
            images = tf.gather(self.images, batch_indices)
            labels = tf.gather(self.labels, batch_indices)
            self.train_batch((images, labels), seed, (epoch - 1) * batches + batch + 1)
        return take_results(self.networks)

    @tf.autograph.experimental.do_not_convert
    def train_batch(self, batch: tuple, seed: tf.Tensor, step: tf.Tensor) -> None:
        """Takes a training step with every network: images and labels; steps count from 1."""
        PairedDropout.batch_size = tf.size(batch[1])
        for network in self.networks:
            # Seeds of sweeps end at 2**31, so no two calls in a run draw the same numbers.
            PairedDropout.seeds = (
                tf.stack([seed + 2**31 * call, 4 * step + 1]) for call in itertools.count()
            )
            network.train_step(batch)
        PairedDropout.seeds = None

    @tf.function(input_signature=[IMAGES, NUMBERS])
    def test_epoch(self, images: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """Evaluates every network on these images, with dropout off, and takes results."""
        for start in tf.range(0, tf.size(labels, tf.int64), BATCH_SIZE):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            batch_images = images[start : start + BATCH_SIZE]
            batch_images = tf.ensure_shape(batch_images, [None, *self.images.shape[1:]])
            batch_labels = labels[start : start + BATCH_SIZE]
            for network in self.networks:
                test_step = tf.autograph.experimental.do_not_convert(network.test_step)
                test_step((batch_images, batch_labels))
        return take_results(self.networks)


# What comes out: HISTORY by normalization, seed, rate and epoch; FINAL after the last epoch
HISTORY = np.dtype([(name, float) for name in ("accuracy", "val_accuracy", "loss", "val_loss")])
FINAL_NAMES = ["accuracy", "accuracy_dropout_off", "val_accuracy", "val_loss"]
FINAL = np.dtype([(name, float) for name in FINAL_NAMES])
Results = tuple[np.ndarray, np.ndarray]  # the two of them


def train_sweep(sweep: Sweep, seed: int, rates: list[float], data: list[tf.Tensor]) -> Results:
    """Trains a sweep, and prints validation accuracies in a row for each epoch.

    Returns HISTORY [rates, epochs] and FINAL [rates].
    """
    train_images, train_labels, test_images, test_labels = data
    print("epoch" + "".join(f" {rate:>5}" for rate in rates) + " seconds")
    history = np.zeros([len(rates), EPOCHS], HISTORY)
    for epoch in range(1, EPOCHS + 1):
        started = time.monotonic()
        indices = np.random.default_rng([seed, epoch]).permutation(len(train_images))
        loss, accuracy = sweep.train_epoch(indices, seed, epoch).numpy()
        val_loss, val_accuracy = sweep.test_epoch(test_images, test_labels).numpy()
        history[:, epoch - 1] = list(zip(accuracy, val_accuracy, loss, val_loss))
        cells = "".join(f" {100 * value:>5.2f}" for value in history["val_accuracy"][:, epoch - 1])
        print(f"{epoch:>5}{cells} {time.monotonic() - started:>7.1f}", flush=True)

    for network in sweep.networks:  # as at the end of Keras's fit: averaged weights now count
        network.optimizer.finalize_variable_values(network.trainable_variables)
    _, accuracy_dropout_off = sweep.test_epoch(train_images, train_labels).numpy()
    val_loss, val_accuracy = sweep.test_epoch(test_images, test_labels).numpy()
    final = zip(accuracy, accuracy_dropout_off, val_accuracy, val_loss)
    return history, np.array(list(final), FINAL)


def run_sweeps(digest: str | None, rates: list[float], data: list[tf.Tensor]) -> Results:
    """Trains all sweeps that are not on record under this digest; returns HISTORY and FINAL."""
    image_shape = tuple(data[0].shape[1:])
    classes = int(data[1].numpy().max()) + 1
    for normalization in NORMALIZATIONS:  # what cannot be built ends the run here
        build_network(normalization, rates[-1], image_shape, classes).summary()
    history = np.zeros([len(NORMALIZATIONS), len(SEEDS), len(rates), EPOCHS], HISTORY)
    final = np.zeros(history.shape[:-1], FINAL)
    for row, normalization in enumerate(NORMALIZATIONS):
        sweep = None
        for column, seed in enumerate(SEEDS):
            print(f"\nValidation accuracy in %, normalization {normalization}, seed {seed}")
            record = record_path(digest, row, column)
            results = read_record(record)
            if results is None:
                networks = build_networks(normalization, seed, rates, image_shape, classes)
                sweep = sweep or Sweep(networks, *data[:2])
                sweep.start_again(networks)
                results = train_sweep(sweep, seed, rates, data)
                if digest:
                    buffer = io.BytesIO()
                    np.savez(buffer, history=results[0], final=results[1])
                    write_file(record.name, buffer.getvalue())
            history[row, column], final[row, column] = results
    return history, final


# Main
def main(script: bytes | None = None) -> None:
    """Trains what the constants describe, and writes what comes out.

    With the content of the script, a run that was interrupted continues where it stopped.
    """
    check_constants()
    if hasattr(sys.stdout, "reconfigure"):  # it has not in a notebook
        sys.stdout.reconfigure(errors="backslashreplace")  # for what a terminal cannot show
    data_name, data = load_data()
    # Is there room?
    write_file(".network_dropout_trial", bytes(1_000_000)).unlink(missing_ok=True)
    print(f"{data_name}: {len(data[0])} training images, {len(data[2])} for validation")
    rates = sorted(round(float(rate), 4) for rate in DROPOUT_RATES)
    digest = digest_run(script, data) if script else None
    history, final = run_sweeps(digest, rates, data)
    write_results(data_name, rates, history, final)
    for row, column in np.ndindex(final.shape[:2]):  # nothing is left to continue
        record_path(digest, row, column).unlink(missing_ok=True)


# Statistics
@functools.cache
def critical_value(seeds: int, rates: int) -> float:
    """Returns how many standard errors make a 95 % interval that holds for all rates at once.

    In 95 % of 50,000 simulated sweeps of equal rates, no difference is larger.
    """
    random = np.random.default_rng(0)
    largest = []
    for _ in range(100):
        values = random.standard_normal([500, seeds, rates], dtype=np.float32)
        differences = values[..., 1:] - values[..., :1]
        errors = abs(differences.mean(axis=1)) / differences.std(axis=1, ddof=1) * seeds**0.5
        largest.append(errors.max(axis=1))
    return np.quantile(largest, 0.95)


def compare_with_first(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each rate's mean difference from the first, and the half-width of its interval.

    Float [seeds, rates] -> [rates] each, 0 at the first rate. Mean minus and plus half-width is a
    95 % interval, simultaneous for all rates: Dunnett's comparison with a control (JASA 50, 1955,
    1096-1121), each difference with a standard error of its own. The rates of a seed start from the
    same weights and see the same batches, so the differences are taken seed by seed.

    The half-width is infinite under three seeds, and where all seeds have the same difference:
    accuracies come in steps of one image, so that says how coarse they are and not how sure.
    """
    seeds, rates = values.shape
    differences = values - values[:, :1]
    half_width = np.full(rates, np.inf)
    if seeds >= 3 and rates > 1:
        half_width = critical_value(seeds, rates) * differences.std(axis=0, ddof=1) / seeds**0.5
        half_width[np.ptp(differences, axis=0) < 1e-9] = np.inf
    half_width[0] = 0
    return differences.mean(axis=0), half_width


def results_table(rates: list[float], history: np.ndarray, final: np.ndarray) -> str:
    """Returns a table for one normalization: HISTORY [seeds, rates, epochs], FINAL [seeds, rates].

    Means over the seeds in %, and from three seeds on differences from the first rate.
    """
    is_tested = len(final) > 2
    mean, half_width = compare_with_first(100 * final["val_accuracy"])
    by_epoch = history["val_accuracy"].mean(axis=0)  # [rates, epochs]
    head = f"{'rate':>8}{'training':>12}{'dropout off':>12}{'validation':>12}"
    if is_tested:
        head += f"{'difference':>16}"
    lines = [head]
    for row, rate in enumerate(rates):
        percent = [100 * final[name][:, row].mean() for name in FINAL_NAMES[:3]]
        line = f"{rate:>8}" + "".join(f"{value:>12.2f}" for value in percent)
        if is_tested and row > 0:
            difference = f"{mean[row]:+.2f} ± {half_width[row]:.2f}"
            line += f"{difference:>16}"
        if mean[row] > half_width[row]:
            epochs_behind = 1 + np.flatnonzero(by_epoch[row] <= by_epoch[0])
            line += f"  better, ahead since epoch {epochs_behind.max(initial=0) + 1}"
        if mean[row] < -half_width[row]:
            line += "  worse"
        lines.append(line)
    return "\n".join(lines)


# Figures
ACCURACY_TICKS = [0, 30, 50, 70, 80, 90, 92, 94, 95, 96, 97, 98, 99, 99.5, 100]  # %


def make_panels(title: str, x_label: str, measure: str) -> Figure:
    """Returns a figure with a panel for each normalization.

    Its vertical axis gives room to what is close to 100 %, or, of losses and differences, to 0.
    """
    figure = Figure(figsize=(4 + 4 * len(NORMALIZATIONS), 5), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False)
    figure.subplots(1, len(NORMALIZATIONS), sharey=True)
    for axes, normalization in zip(figure.axes, NORMALIZATIONS):
        axes.set_title(f"normalization: {normalization}", fontsize="medium", parse_math=False)
        axes.set_xlabel(x_label)
        axes.xaxis.set_major_locator(MaxNLocator(10, integer=x_label == "epoch"))
        axes.grid(alpha=0.3)
    first = figure.axes[0]
    first.set_ylabel(measure)
    if "accuracy" in measure:
        stretch = (lambda y: -np.log(np.maximum(100.5 - y, 0.1)), lambda y: 100.5 - np.exp(-y))
        first.set_yscale("function", functions=stretch)
        first.yaxis.set_major_locator(FixedLocator(ACCURACY_TICKS))
        first.yaxis.set_minor_locator(AutoLocator())  # or a narrow axis could have no numbers
        first.yaxis.set_minor_formatter("{x:g}")
    else:
        first.set_yscale("asinh", linear_width=0.05 if "loss" in measure else 0.5, base=0)
    first.yaxis.set_major_formatter("{x:g}")
    return figure


def plot_epochs(title: str, measure: str, rates: list[float], values: np.ndarray) -> Figure:
    """Plots values by epoch: float [normalizations, seeds, rates, epochs].

    A line is the mean over the seeds, in a band of one standard deviation.
    """
    figure = make_panels(title, "epoch", measure)
    epochs = np.arange(1, values.shape[-1] + 1)
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.93, len(rates)))  # dark to light
    for axes, panel in zip(figure.axes, values):
        means = panel.mean(axis=0)
        spreads = panel.std(axis=0, ddof=1) if len(panel) > 1 else np.zeros_like(means)
        looks = zip(rates, means, spreads, colors, itertools.cycle("ov^sD<>phd"))
        for rate, mean, spread, color, marker in looks:
            axes.plot(epochs, mean, color=color, marker=marker, ms=4, label=f"rate {rate}")
            axes.fill_between(epochs, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center")
    return figure


def plot_differences(run: str, rates: list[float], accuracies: np.ndarray) -> Figure:
    """Plots accuracies in % minus the first rate's: float [normalizations, seeds, rates]."""
    bars = "bars: simultaneous 95 % intervals" if accuracies.shape[1] > 2 else "not tested"
    title = f"{run}\nvalidation accuracy minus that of rate {rates[0]} ({bars})"
    figure = make_panels(title, "dropout rate", "difference (percentage points)")
    for axes, values in zip(figure.axes, accuracies):
        level = f"rate {rates[0]}: {values[:, 0].mean():.2f} %"
        axes.set_title(f"{axes.get_title()}\n{level}", fontsize="medium", parse_math=False)
        axes.axhline(0, color="black", lw=1)
        mean, half_width = compare_with_first(values)
        half_width[np.isinf(half_width)] = np.nan  # no interval, no bar
        axes.errorbar(rates, mean, half_width, fmt="o", capsize=3)
    return figure


def plot_differences_by_epoch(run: str, rates: list[float], accuracies: np.ndarray) -> Figure:
    """Plots each rate's accuracy in % minus the first one's, by epoch.

    Float [normalizations, seeds, rates, epochs]. From three seeds on, a marker stands only where an
    interval leaves out 0.
    """
    is_tested = accuracies.shape[1] > 2
    marked = "marked: its 95 % interval leaves out 0" if is_tested else "not tested"
    title = f"{run}\nvalidation accuracy minus that of rate {rates[0]} ({marked})"
    differences = (accuracies - accuracies[:, :, :1]).mean(axis=1, keepdims=True)  # no band
    figure = plot_epochs(title, "difference (percentage points)", rates, differences)
    for axes, values in zip(figure.axes, accuracies):
        comparisons = [compare_with_first(values[..., epoch]) for epoch in range(values.shape[-1])]
        means, half_widths = np.transpose(comparisons, (1, 2, 0))  # [rates, epochs]
        for line, mean, half_width in zip(axes.lines, means, half_widths):
            line.set_markevery((abs(mean) > half_width) | (not is_tested))
    return figure


def plot_results(name: str, rates: list[float], history: np.ndarray, final: np.ndarray) -> dict:
    """Returns the figures of HISTORY and FINAL by their names."""
    run = f"{name}, epochs: {history.shape[-1]}, seeds: {history.shape[1]}"
    accuracy = 100 * history["accuracy"]
    val_accuracy = 100 * history["val_accuracy"]
    return {
        "accuracy": plot_epochs(run, "training accuracy (%), dropout on", rates, accuracy),
        "val_accuracy": plot_epochs(run, "validation accuracy (%)", rates, val_accuracy),
        "val_loss": plot_epochs(run, "validation loss", rates, history["val_loss"]),
        "difference": plot_differences(run, rates, 100 * final["val_accuracy"]),
        "difference_by_epoch": plot_differences_by_epoch(run, rates, val_accuracy),
    }


# Data
ARRAY_NAMES = ["x_train", "y_train", "x_test", "y_test"]
IMAGE_SETS = ["mnist", "fashion_mnist", "cifar10", "cifar100"]
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile)


def load_data() -> tuple[str, list[tf.Tensor]]:
    """Returns a name and four tensors: uint8 [images, *image_shape] and int64 [images], twice."""
    name, arrays = load_dataset() if DATA_FILE is None else read_data_file()
    x_train, y_train, x_test, y_test = arrays
    with tf.device("CPU"):  # TensorFlow gathers uint8 on no GPU, and would copy the images back
        return name, [
            tf.constant(x_train, tf.uint8),
            tf.constant(y_train.reshape(-1), tf.int64),
            tf.constant(x_test, tf.uint8),
            tf.constant(y_test.reshape(-1), tf.int64),
        ]


def load_dataset() -> tuple[str, list[np.ndarray]]:
    """Returns a name and DATASET, through Keras's cache; drawn digits where MNIST can't be had."""
    socket.setdefaulttimeout(30)  # seconds; Keras would wait for ever on a silent connection
    try:
        train, test = getattr(keras.datasets, DATASET).load_data()
        return DATASET, [*train, *test]
    except Exception as error:
        # No network: a bare Exception. A broken connection: OSError. A damaged file: ValueError.
        is_missing = type(error) is Exception or isinstance(error, (OSError, ValueError))
        if not is_missing or DATASET != "mnist":
            raise
        print(f"MNIST cannot be downloaded ({error}). Digits drawn from fonts stand in for it,")
        print("with other numbers; for the real ones, name an .npz of MNIST in DATA_FILE.")
    finally:
        socket.setdefaulttimeout(None)
    return "drawn_digits", draw_digits()


def read_archive(path: str | Path, names: list[str]) -> list[np.ndarray]:
    """Returns the arrays of an .npz file that have these names; what fails is in UNREADABLE."""
    zipfile.ZipFile(path).close()  # NumPy would take what is no archive for a pickle
    with np.load(path) as archive:
        return [np.asarray(archive[name]) for name in names]


def read_data_file() -> tuple[str, list[np.ndarray]]:
    """Returns a name and the arrays of DATA_FILE, or ends the run with a sentence."""
    path = Path(DATA_FILE).expanduser()
    try:
        arrays = read_archive(path, ARRAY_NAMES)
    except UNREADABLE as error:
        sys.exit(f"DATA_FILE is '{path}'; it must be an .npz with {ARRAY_NAMES}: {error}.")
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
        sys.exit(
            f"DATA_FILE is '{path}', with {held}; it must hold images of one size with pixels from "
            "0 to 255, and for each a label from 0 up, in y_test none above those in y_train."
        )
    return path.stem, arrays


@matplotlib.style.context("default")  # the same digits, whatever the user's settings
def draw_digits(train_size: int = 60_000, test_size: int = 10_000) -> list[np.ndarray]:
    """Returns a stand-in for MNIST, in the order of ARRAY_NAMES, the same at every call.

    Digits in Matplotlib's fonts, of several sizes, turned and noisy: uint8 [images, 28, 28].
    """
    random = np.random.default_rng(0)
    copies = 300  # of each digit, in as many looks; the last 50 are for validation
    side = 28  # pixels
    sheet = Figure(figsize=(10, copies), dpi=side, facecolor="black")  # a row for each copy
    for copy, digit in itertools.product(range(copies), range(10)):
        x = (digit + 0.5) / 10
        y = (copy + 0.5) / copies
        font = random.choice(["DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono"])
        look = {"size": random.uniform(45, 65), "rotation": random.normal(0, 12), "color": "white"}
        sheet.text(x, y, str(digit), family=font, ha="center", va="center", **look)
    buffer = io.BytesIO()
    sheet.savefig(buffer, format="rgba")
    pixels = np.frombuffer(buffer.getvalue(), np.uint8).reshape(copies, side, 10, side, 4)
    digits = pixels[..., 0].swapaxes(1, 2)  # [copies, digits, side, side]; red will do
    arrays = []
    for size, first, end in ((train_size, 0, 250), (test_size, 250, copies)):
        labels = random.integers(10, size=size)
        noise = random.integers(100, size=(size, side, side), dtype=np.uint8)
        arrays += [np.maximum(digits[random.integers(first, end, size), labels], noise), labels]
    return arrays


# Files
def write_file(name: str, content: bytes) -> Path:
    """Writes a file to FIGURES_DIR, whole or not at all, and returns its path."""
    path = Path(FIGURES_DIR, name).expanduser()
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


def as_csv(rates: list[float], results: np.ndarray) -> bytes:
    """Returns HISTORY or FINAL as CSV, with a row for each network and epoch, or each network."""
    names = [normalization or "none" for normalization in NORMALIZATIONS]
    keys = [names, SEEDS, rates, range(1, EPOCHS + 1)][: results.ndim]
    key_names = ["normalization", "seed", "dropout_rate", "epoch"][: results.ndim]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*key_names, *results.dtype.names])
    for key, row in zip(itertools.product(*keys), results.reshape(-1), strict=True):
        writer.writerow([*key, *(f"{value:.6f}" for value in row)])
    return text.getvalue().encode()


def write_results(name: str, rates: list[float], history: np.ndarray, final: np.ndarray) -> None:
    """Prints, plots and writes what came out: HISTORY and FINAL."""
    for normalization, *results in zip(NORMALIZATIONS, history, final):
        print(f"\nAccuracy in % after epoch {EPOCHS}, normalization {normalization}")
        print(results_table(rates, *results))
    if len(SEEDS) < 3:
        print("Nothing is tested: that takes three seeds, and ten tell more: SEEDS = range(10).")

    outputs = {"history.csv": as_csv(rates, history), "final.csv": as_csv(rates, final)}
    for kind, figure in plot_results(name, rates, history, final).items():
        buffer = io.BytesIO()
        figure.savefig(buffer, format=FIGURE_FORMAT)
        outputs[f"{kind}.{FIGURE_FORMAT}"] = buffer.getvalue()
    for kind, content in outputs.items():
        print(f"Wrote {write_file(f'network_dropout_{name}_{kind}', content)}")


# Records of finished sweeps, from which an interrupted run of the script continues
def digest_run(script: bytes, data: list[tf.Tensor]) -> str:
    """Returns a digest of what the numbers depend on: the script, the versions and the data."""
    digest = hashlib.sha256(script)
    digest.update(repr([tf.__version__, keras.__version__, np.__version__]).encode())
    for tensor in data:
        digest.update(tensor.numpy())
    return digest.hexdigest()[:20]


def record_path(digest: str | None, row: int, column: int) -> Path:
    """Returns the path of a sweep's record: row counts normalizations, column seeds."""
    return Path(FIGURES_DIR, f".network_dropout_{digest}_{row}_{column}.npz").expanduser()


def read_record(path: Path) -> list[np.ndarray] | None:
    """Returns HISTORY [rates, epochs] and FINAL [rates] of a finished sweep, or None."""
    try:
        results = read_archive(path, ["history", "final"])
    except UNREADABLE:  # there is none, or it is damaged
        return None
    print("Trained before it was interrupted: the run continues.")
    return results


# Checks
def check_constants() -> None:
    """Ends the run with a sentence about the first constant that holds what it must not."""

    def is_number(value: object, kind: type, least: float, end: float) -> bool:
        return isinstance(value, kind) and least <= value < end

    def is_list(values: object, fits: Callable[[object], bool]) -> bool:
        if not isinstance(values, (list, tuple, range)) or len(values) == 0:
            return False
        return all(fits(value) for value in values) and len(set(values)) == len(values)

    rates_fit = is_list(DROPOUT_RATES, lambda rate: is_number(rate, int | float, 0, 1))
    seeds_fit = is_list(SEEDS, lambda seed: is_number(seed, int, 0, 2**31))
    names_fit = is_list(NORMALIZATIONS, lambda name: name in list(NORMALIZATION_LAYERS))
    learning_rate_fits = isinstance(LEARNING_RATE, float) and 0 < LEARNING_RATE < math.inf
    checks = [
        ("DROPOUT_RATES", rates_fit, "a list of different numbers from 0 to below 1"),
        ("NORMALIZATIONS", names_fit, f"a list out of {list(NORMALIZATION_LAYERS)}"),
        ("SEEDS", seeds_fit, "a list of different whole numbers from 0 to 2147483647"),
        ("EPOCHS", is_number(EPOCHS, int, 1, math.inf), "a whole number from 1"),
        ("BATCH_SIZE", is_number(BATCH_SIZE, int, 1, math.inf), "a whole number from 1"),
        ("HIDDEN_UNITS", is_number(HIDDEN_UNITS, int, 1, math.inf), "a whole number from 1"),
        ("LEARNING_RATE", learning_rate_fits, "a float above 0"),
        ("DATASET", DATASET in IMAGE_SETS, f"one of {IMAGE_SETS}"),
        ("DATA_FILE", isinstance(DATA_FILE, str | Path | None), "None or the path of a file"),
        ("FIGURES_DIR", isinstance(FIGURES_DIR, str | Path), "the path of a folder"),
        ("FIGURE_FORMAT", FIGURE_FORMAT in ["png", "svg", "pdf"], '"png", "svg" or "pdf"'),
    ]
    for name, fits, wanted in checks:
        if not fits:
            sys.exit(f"{name} is {globals()[name]!r}; it must be {wanted}.")


def check_networks(networks: list[keras.Model]) -> None:
    """Ends the run with a sentence where networks share variables, or measure no accuracy."""
    variables = []
    for network in networks:
        variables += network.variables + network.metrics_variables + network.optimizer.variables
        if "accuracy" not in network.get_metrics_result():
            sys.exit('build_network compiles no "accuracy"; it must have metrics=["accuracy"].')
    if len({id(variable) for variable in variables}) < len(variables):
        sys.exit("build_network shares layers, metrics or an optimizer; it must make new ones.")


if __name__ == "__main__":
    # Pasted into a notebook it has no file.
    main(Path(__file__).read_bytes() if "__file__" in globals() else None)
