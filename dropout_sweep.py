"""How does the dropout rate change what a small network learns?

    python dropout_sweep.py

trains a multilayer perceptron on MNIST for each dropout rate from 0.0 to 0.9, all side by side. In
about a minute on two cores it writes to figures/, as network_dropout_mnist_...: accuracies and losses
by epoch (accuracy.png, val_accuracy.png, val_loss.png, history.csv), after the last epoch (rates.png,
final.csv), and each rate against rate 0.0 (difference.png, difference_by_epoch.png). MNIST's test
images serve for validation.

With 20 seeds and layer normalization, every rate was worse than no dropout after the first epoch;
rate 0.2 was better after 10 epochs, by 0.19 ± 0.08 percentage points of validation accuracy, and
rate 0.4 by 0.31 ± 0.09 in the median of epochs 21 to 30 (95 % intervals).

To try something else, change a constant below, or the network in `build_network`, and run it again.
"""

import contextlib
import csv
import datetime
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
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

# The experiment
DROPOUT_RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]  # numbers from 0 to below 1
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


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Shuts standard error, where TensorFlow tells of missing drivers as it is imported."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        error_stream = os.dup(2)
    except OSError:  # there is none, as on Windows without a console
        error_stream = nowhere
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(error_stream, 2)


os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # errors alone
gc.disable()  # nothing of what is imported is garbage; to search it would take half a second
with quiet():
    import keras
    import matplotlib.style
    import numpy as np
    import tensorflow as tf
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
gc.freeze()
gc.enable()
keras.config.set_floatx("float32")  # these four, whatever keras.json says
keras.config.set_dtype_policy("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")


# Network
NORMALIZATION_LAYERS = {  # what makes the layer when it is called
    "layer": keras.layers.LayerNormalization,
    "batch": keras.layers.BatchNormalization,
    None: keras.layers.Identity,
}


def build_network(normalization: str | None, rate: float, pixels: int, classes: int) -> keras.Model:
    """Returns an untrained, compiled network: float32 [images, pixels] -> float32 [images, classes].

    Put any Keras model here that `fit` could train on images and their labels, with an accuracy
    among its metrics. Pixels go from 0 to 1; to `keras.Input([28, 28])` they come in that shape.
    The rates of a seed all start from the trainable weights that the highest of them gets here.
    """
    network = keras.Sequential(
        [
            keras.Input([pixels]),
            NORMALIZATION_LAYERS[normalization](),
            keras.layers.Dropout(rate),
            keras.layers.Dense(HIDDEN_UNITS, activation="tanh"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )
    network.compile(
        optimizer=keras.optimizers.Adam(LEARNING_RATE),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return network


def build_networks(
    normalization: str | None, seed: int, rates: list[float], pixels: int, classes: int
) -> list[keras.Model]:
    """Returns a network for each rate, all with the same trainable weights to start from."""
    networks = []
    for rate in rates:
        keras.utils.set_random_seed(seed)
        network = build_network(normalization, rate, pixels, classes)
        check_network(network, pixels)
        make_variables(network, pixels, classes)
        networks.append(network)
    # Keras draws one random number more for a Dropout whose rate is above 0, and so other weights
    # for the layers after it. To compare nothing but rates, all take the weights of the last one.
    for network in networks:
        for weight, last_weight in zip(network.trainable_weights, networks[-1].trainable_weights):
            if (weight.name, weight.shape) == (last_weight.name, last_weight.shape):
                weight.assign(last_weight)
    return networks


def make_variables(network: keras.Model, pixels: int, classes: int) -> None:
    """Makes the variables that Keras makes at a network's first step, so that no later step has to.

    That is a step of validation on a blank image, and what it changes is changed back.
    """
    states = [(each, each.numpy()) for each in network.non_trainable_variables]
    image = reshape_images(network, tf.zeros([1, pixels]))
    logs = network.test_step((image, tf.constant([classes - 1], tf.int64)))
    check_logs(network, logs, "test_step")
    for variable, state in states:
        variable.assign(state)
    network.reset_metrics()
    network.optimizer.build(network.trainable_variables)


# Training
IMAGES = tf.TensorSpec([None, None], tf.uint8)  # [images, pixels]
LABELS = tf.TensorSpec([None], tf.int64)  # [images]
INDICES = tf.TensorSpec([None], tf.int64)  # [images]: their places among all images
NUMBER = tf.TensorSpec([], tf.int64)


class Sweep:
    """A network for each rate, trained side by side on the same batches in one TensorFlow graph.

    Each takes Keras's own steps, as in `fit`, while TensorFlow spreads the networks over the cores.
    Only what `tf.random` draws as a network runs depends on the networks beside it.
    """

    def __init__(self, networks: list[keras.Model], seed: int) -> None:
        self.networks = networks
        self.seed = seed
        if any(network.run_eagerly for network in networks):  # as `compile` was told
            tf.config.run_functions_eagerly(True)

    @tf.function(input_signature=[IMAGES, LABELS, INDICES, NUMBER])
    def train_epoch(
        self, images: tf.Tensor, labels: tf.Tensor, indices: tf.Tensor, epoch: tf.Tensor
    ) -> None:
        """Trains every network on all images, in the order of the indices; epochs count from 1."""
        batches = (tf.size(indices, tf.int64) + BATCH_SIZE - 1) // BATCH_SIZE
        for batch in tf.range(batches):
            # One batch after the other, or a layer's own random numbers would depend on timing.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            batch_indices = indices[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
            batch_images = scale_pixels(tf.gather(images, batch_indices))
            step = (epoch - 1) * batches + batch + 1
            self.train_batch(batch_images, tf.gather(labels, batch_indices), step)

    @tf.autograph.experimental.do_not_convert  # as in Keras's fit; tracing takes half the time
    def train_batch(self, images: tf.Tensor, labels: tf.Tensor, step: tf.Tensor) -> None:
        """Takes a training step with every network: float32 [batch, pixels], int64 [batch]."""
        with accelerated(self.networks, self.seed, step, batch_size=tf.size(labels)):
            for network in self.networks:
                network.train_step((reshape_images(network, images), labels))

    @tf.function(input_signature=[IMAGES, LABELS])
    def test_epoch(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Evaluates every network on all images, with dropout off."""
        batches = (tf.size(labels, tf.int64) + BATCH_SIZE - 1) // BATCH_SIZE
        for batch in tf.range(batches):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            batch_images = images[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
            batch_labels = labels[batch * BATCH_SIZE : (batch + 1) * BATCH_SIZE]
            self.test_batch(scale_pixels(batch_images), batch_labels)

    @tf.autograph.experimental.do_not_convert
    def test_batch(self, images: tf.Tensor, labels: tf.Tensor) -> None:
        """Takes a step of validation with every network: float32 [batch, pixels], int64 [batch]."""
        for network in self.networks:
            network.test_step((reshape_images(network, images), labels))


def scale_pixels(images: tf.Tensor) -> tf.Tensor:
    """uint8 from 0 to 255 -> float32 from 0 to 1. A batch at a time, this takes little memory."""
    return tf.cast(images, tf.float32) / 255


def reshape_images(network: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """Returns images, float32 [images, pixels], in the shape of the network's `keras.Input`."""
    shapes = input_shapes(network)
    if not shapes:
        return images
    sizes = [-1 if size is None else size for size in shapes[0]]
    return tf.reshape(images, [tf.shape(images)[0], *sizes])


def input_shapes(network: keras.Model) -> list[tuple]:
    """Returns the shape of an image for each of the network's inputs, none where they are open."""
    inputs = getattr(network, "inputs", None) if network.built else None
    return [tuple(each.shape[1:]) for each in inputs or []]


ACCURACY_NAMES = ["accuracy", "acc", "sparse_categorical_accuracy"]  # as Keras calls it


def read_metrics(networks: list[keras.Model]) -> np.ndarray:
    """Returns losses and accuracies since the metrics were last reset, float64 [2, networks].

    They are what Keras's `History` would hold. The metrics are reset.
    """
    values = []
    for network in networks:
        results = network.get_metrics_result()
        accuracy = next(results[name] for name in ACCURACY_NAMES if name in results)
        values.append([float(results["loss"]), float(accuracy)])
        network.reset_metrics()
    return np.transpose(values)


HISTORY = np.dtype(  # by epoch, as in Keras's History
    [("accuracy", float), ("val_accuracy", float), ("loss", float), ("val_loss", float)]
)
FINAL = np.dtype(
    [
        ("accuracy", float),  # of the last epoch, with dropout on
        ("accuracy_dropout_off", float),  # of the finished network, on the training images
        ("val_accuracy", float),
        ("val_loss", float),
    ]
)


def train_sweep(
    sweep: Sweep, rates: list[float], data: list[tf.Tensor], sweeps_left: int
) -> tuple[np.ndarray, np.ndarray]:
    """Trains a sweep, and prints validation accuracies in a row for each epoch.

    Returns HISTORY [rates, epochs], NaN where an epoch was not trained, and FINAL [rates].
    """
    train_images, train_labels, test_images, test_labels = data
    networks = sweep.networks
    names = name_rates(rates)
    width = max(6, len(max(names, key=len)) + 1)
    print(table_line("epoch", names, width) + f"{'sec':>6}{'left':>8}")
    history = np.full([len(rates), EPOCHS], np.nan, HISTORY)
    started = time.monotonic()
    for epoch in range(1, EPOCHS + 1):
        epoch_started = time.monotonic()
        indices = np.random.default_rng([sweep.seed, epoch]).permutation(len(train_images))
        sweep.train_epoch(train_images, train_labels, indices, epoch)
        loss, accuracy = read_metrics(networks)
        sweep.test_epoch(test_images, test_labels)
        val_loss, val_accuracy = read_metrics(networks)

        results = history[:, epoch - 1]
        results["accuracy"] = accuracy
        results["val_accuracy"] = val_accuracy
        results["loss"] = loss
        results["val_loss"] = val_loss
        now = time.monotonic()
        seconds_left = (now - started) / epoch * (sweeps_left * EPOCHS - epoch)
        left = datetime.timedelta(seconds=round(seconds_left))
        cells = [f"{100 * value:.2f}" for value in val_accuracy]
        seconds = now - epoch_started
        print(table_line(epoch, cells, width) + f"{seconds:>6.1f}{left!s:>8}", flush=True)

    for network in networks:  # as at the end of Keras's fit: averaged weights now count
        network.optimizer.finalize_variable_values(network.trainable_variables)
    final = np.zeros(len(rates), FINAL)
    final["accuracy"] = accuracy
    sweep.test_epoch(train_images, train_labels)
    _, final["accuracy_dropout_off"] = read_metrics(networks)
    sweep.test_epoch(test_images, test_labels)
    final["val_loss"], final["val_accuracy"] = read_metrics(networks)
    return history, final


# Results
def name_rates(rates: list[float]) -> list[str]:
    """Returns short names for the rates, no two of them the same."""
    for digits in range(4, 18):
        names = [str(float(f"{rate:.{digits}g}")) for rate in rates]
        if len(set(names)) == len(rates):
            break
    return names


def name_normalization(normalization: object) -> str:
    """Returns the name that stands in the files."""
    return "none" if normalization is None else str(normalization)


def describe_normalization(normalization: object) -> str:
    """Returns what stands in titles, such as "layer normalization"."""
    return f"{'no' if normalization is None else normalization} normalization"


def count(number: int, noun: str) -> str:
    """Returns a number with its noun, such as "1 seed" or "20 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def table_line(head: object, cells: list[str], width: int) -> str:
    """Returns a line of a table, its cells flush right in columns of this width."""
    return f"{head:>5}" + "".join(f"{cell:>{width}}" for cell in cells)


@functools.cache
def critical_value(seeds: int, rates: int) -> float:
    """Returns how many standard errors any difference stays below in 95 % of sweeps by chance.

    It is found in 50,000 simulated sweeps, in which the rates differ by chance alone.
    """
    random = np.random.default_rng(0)
    largest = []
    for _ in range(100):
        values = random.standard_normal([500, seeds, rates], dtype=np.float32)
        differences = values[..., 1:] - values[..., :1]
        errors = abs(differences.mean(axis=-2)) / standard_error(differences)
        largest.append(errors.max(axis=-1))
    return np.quantile(largest, 0.95)


def standard_error(differences: np.ndarray) -> np.ndarray:
    """Returns the standard error of the mean over the seeds: float [..., seeds, rates] -> rates."""
    seeds = differences.shape[-2]
    return differences.std(axis=-2, ddof=1) / seeds**0.5


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
        half_width = critical_value(seeds, rates) * standard_error(differences)
        half_width[np.ptp(differences, axis=0) < 1e-9] = np.inf
    half_width[0] = 0
    return differences.mean(axis=0), half_width


def compare_epochs(values: np.ndarray) -> np.ndarray:
    """Compares each epoch by itself: float [seeds, rates, epochs] -> [2, rates, epochs].

    That is, the mean differences and the half-widths that `compare_with_first` returns.
    """
    epochs = values.shape[-1]
    comparisons = [compare_with_first(values[..., epoch]) for epoch in range(epochs)]
    return np.moveaxis(comparisons, 0, -1)


def judge(mean: np.ndarray, half_width: np.ndarray) -> np.ndarray:
    """Returns 1 for a rate better than the first, -1 for a worse one, 0 where neither is sure.

    Better or worse is a rate whose interval, mean minus and plus half-width, leaves out 0.
    """
    return np.where(abs(mean) > half_width, np.sign(mean), 0)


def better_since(judgements: np.ndarray) -> int:
    """Returns the first epoch after which a rate is better in all that follow: [epochs] -> epoch.

    Epochs count from 1. For a rate that is not better after the last epoch, it is one beyond that.
    """
    not_better = np.flatnonzero(judgements != 1)
    return 1 if not_better.size == 0 else int(not_better[-1]) + 2


def describe_judgements(judgements: np.ndarray, by_epoch: np.ndarray) -> list[str]:
    """Returns "better", with the epoch since when, "worse" or nothing for each rate.

    judgements: [rates], after the last epoch; by_epoch: [rates, epochs].
    """
    texts = []
    for judgement, epochs in zip(judgements, by_epoch):
        text = {1: "better", 0: "", -1: "worse"}[int(judgement)]
        since = better_since(epochs)
        if judgement == 1 and since <= len(epochs):
            text = f"better since epoch {since}"
        texts.append(text)
    return texts


def results_table(rates: list[float], history: np.ndarray, final: np.ndarray) -> str:
    """Returns a table for one normalization: HISTORY [seeds, rates, epochs], FINAL [seeds, rates].

    Means over the seeds in %, and from three seeds on differences from the first rate.
    """
    names = name_rates(rates)
    percent = [100 * final[column].mean(axis=0) for column in FINAL.names[:3]]
    rows = []
    for name, *values in zip(names, *percent):
        rows.append(f"{name:>8}" + "".join(f"{value:>13.2f}" for value in values))
    head = f"{'rate':>8}{'training':>13}{'dropout off':>13}{'validation':>13}"
    if len(final) < 3 or len(rates) == 1:
        return "\n".join(["Accuracy in %", head, *rows])

    mean, half_width = compare_with_first(100 * final["val_accuracy"])
    judgements = judge(mean, half_width)
    by_epoch = judge(*compare_epochs(history["val_accuracy"]))
    texts = describe_judgements(judgements, by_epoch)
    for row in range(1, len(rates)):
        difference = f"{mean[row]:+.2f} ± {half_width[row]:.2f}"
        rows[row] = f"{rows[row]}{difference:>15}  {texts[row]}".rstrip()
    changed = [names[row] for row in np.flatnonzero((judgements == 1) & (by_epoch[:, 0] == -1))]
    if changed:
        end = f"better after epoch {history.shape[-1]}"
        rows.append(f"Worse after epoch 1 and {end}: {', '.join(changed)}")
    what = [
        f"Accuracy in %; difference: from rate {names[0]} in validation accuracy,",
        "in percentage points, with simultaneous 95 % intervals",
    ]
    return "\n".join([*what, f"{head}{'difference':>15}", *rows])


# Figures
MARKERS = "ov^sD<>phd"
SCALES = {"accuracy": "logit", "loss": "log"}  # room for differences near 1, and near 0
ACCURACY_TICKS = [0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.94, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9999]
LOSS_TICKS = [0.001, 0.01, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5, 10, 100, 1000]
TICKS = {"accuracy": ACCURACY_TICKS, "loss": LOSS_TICKS}
STYLES = {
    1: ("better", "tab:blue", "^"),
    0: ("not significant", "gray", "o"),
    -1: ("worse", "tab:red", "v"),
}


def make_panels(title: str, x_label: str) -> tuple[Figure, list[Axes]]:
    """Returns a figure with a panel for each normalization; they share their vertical axis."""
    panels = len(NORMALIZATIONS)
    figure = Figure(figsize=(4 + 4 * panels, 5), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False)
    all_axes = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    for axes, normalization in zip(all_axes, NORMALIZATIONS):
        axes.set_title(describe_normalization(normalization), fontsize="medium", parse_math=False)
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.3)
    return figure, all_axes


def line_styles(lines: int) -> list[dict]:
    """Returns a look for each of so many lines in order: dark to light, with different markers."""
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.93, lines))
    styles = zip(colors, itertools.cycle(MARKERS))
    return [{"color": color, "marker": marker, "markersize": 4} for color, marker in styles]


def add_legend(figure: Figure, lines: list[Line2D]) -> None:
    """Names the lines; of more than twenty, only some in even steps."""
    step = math.ceil(len(lines) / 20)
    title = None if step == 1 else f"one of {step} named"
    figure.legend(handles=lines[::step], title=title, loc="outside right center")


def plot_lines(
    title: str, measure: str, x_label: str, x: list[float], lines: dict[str, np.ndarray]
) -> Figure:
    """Plots accuracies or losses, as `measure` says, over x: a line for each entry.

    The entries are float [normalizations, seeds, x]. A line is the mean over the seeds, in a band
    of one standard deviation. What is not there, or not finite, is left out.
    """
    figure, all_axes = make_panels(title, x_label)
    all_axes[0].set_ylabel(measure)
    values = np.array(list(lines.values()))  # [lines, normalizations, seeds, x]
    values[~np.isfinite(values)] = np.nan
    means = values.mean(axis=2)
    spreads = np.zeros_like(means)
    if values.shape[2] > 1:
        spreads = values.std(axis=2, ddof=1)
    lows = means - spreads
    highs = means + spreads
    if can_be_stretched(measure, means):
        # A logarithm ends at 0, and a logit at 1 too: bands reach half of the way there.
        lows = np.maximum(lows, means / 2)
        if measure == "accuracy":
            highs = np.minimum(highs, (means + 1) / 2)
        stretch_axis(all_axes[0], measure, np.nanmin(lows), np.nanmax(highs))
    for panel, axes in enumerate(all_axes):
        if np.isnan(means[:, panel]).all():
            axes.text(0.5, 0.5, "no finite numbers", transform=axes.transAxes, ha="center")
        for row, (label, style) in enumerate(zip(lines, line_styles(len(lines)))):
            axes.plot(x, means[row, panel], label=label, **style)
            band = (lows[row, panel], highs[row, panel])
            axes.fill_between(x, *band, color=style["color"], alpha=0.15, lw=0)
    add_legend(figure, all_axes[0].lines)
    return figure


def can_be_stretched(measure: str, means: np.ndarray) -> bool:
    """Tells whether all means lie where the stretched axis of their measure can show them."""
    finite = means[np.isfinite(means)]
    highest = 1 if measure == "accuracy" else np.inf
    return finite.size > 0 and finite.min() > 0 and finite.max() < highest


def stretch_axis(axes: Axes, measure: str, low: float, high: float) -> None:
    """Gives small differences room: between accuracies near 1, or between losses near 0."""
    axes.set_yscale(SCALES[measure], nonpositive="clip")
    scale = axes.yaxis.get_transform()
    bottom, top = scale.transform([low, high])
    margin = 0.05 * (top - bottom) + 0.005
    bottom, top = scale.inverted().transform([bottom - margin, top + margin])
    axes.set_ylim(bottom, top)
    ticks = [tick for tick in TICKS[measure] if bottom <= tick <= top]
    if len(ticks) >= 3:
        step = math.ceil(len(ticks) / 8)  # so many have room
        axes.yaxis.set_major_locator(FixedLocator(ticks[::step]))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
    axes.yaxis.set_major_formatter("{x:.6g}")
    axes.yaxis.set_minor_locator(NullLocator())


def mark_epochs(axes: Axes, epochs: int) -> None:
    """Gives an axis a place for each epoch."""
    axes.set_xlim(0.5, epochs + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))


def plot_epochs(title: str, measure: str, rates: list[float], values: np.ndarray) -> Figure:
    """Plots a line for each rate over the epochs: float [normalizations, seeds, rates, epochs]."""
    epochs = values.shape[-1]
    by_rate = np.moveaxis(values, 2, 0)
    lines = {f"rate {name}": each for name, each in zip(name_rates(rates), by_rate, strict=True)}
    figure = plot_lines(title, measure, "epoch", range(1, epochs + 1), lines)
    for axes in figure.axes:
        mark_epochs(axes, epochs)
    return figure


def plot_rates(title: str, rates: list[float], final: np.ndarray) -> Figure:
    """Plots what comes out over the rates: FINAL [normalizations, seeds, rates]."""
    lines = {
        "training, dropout on": final["accuracy"],
        "training, dropout off": final["accuracy_dropout_off"],
        "validation, dropout off": final["val_accuracy"],
    }
    return plot_lines(title, "accuracy", "dropout rate", rates, lines)


def difference_limits(means: np.ndarray, half_widths: np.ndarray) -> tuple[float, float]:
    """Returns the ends of an axis of differences, in percentage points.

    It has room for every gain, for losses up to three times as large, for more than half of what
    there is, and for intervals up to three times as long as the middle one. The rest is cut.
    """
    lengths = np.where(np.isfinite(half_widths), half_widths, 0)  # no interval, no bar
    lengths = np.minimum(lengths, 3 * np.median(lengths))
    highest = np.nanmax(means + lengths)
    ends = means - lengths
    middle = np.nanquantile(ends, 0.5, method="lower")
    lowest = max(np.nanmin(ends), min(-3 * highest, middle))
    margin = 0.06 * (highest - lowest) + 0.001
    return max(lowest - margin, -100), min(highest + margin, 100)


def label_differences(axes: Axes, rates: list[float]) -> None:
    """Says on the vertical axis what is subtracted from what."""
    first = name_rates(rates)[0]
    axes.set_ylabel(f"validation accuracy minus that of rate {first}\n(percentage points)")


def plot_differences(title: str, rates: list[float], accuracies: np.ndarray) -> Figure:
    """Plots each rate's accuracy minus the first one's: float [normalizations, seeds, rates]."""
    figure, all_axes = make_panels(title, "dropout rate")
    label_differences(all_axes[0], rates)
    for axes, values in zip(all_axes, accuracies):
        level = f"rate {name_rates(rates)[0]}: {100 * values[:, 0].mean():.2f} %"
        axes.set_title(f"{axes.get_title()}\n{level}", fontsize="medium", parse_math=False)
    plot_comparisons(all_axes, rates, accuracies)
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def plot_comparisons(all_axes: list[Axes], rates: list[float], accuracies: np.ndarray) -> None:
    """Fills panels that share their vertical axis: float [panels, seeds, rates].

    Of a rate that lies below the axis, the difference is written.
    """
    comparisons = np.array([compare_with_first(100 * values) for values in accuracies])
    bottom, top = difference_limits(comparisons[:, 0], comparisons[:, 1])
    all_axes[0].set_ylim(bottom, top)
    places = np.array(rates, float)
    for axes, (mean, half_width) in zip(all_axes, comparisons):
        first = f"rate {name_rates(rates)[0]}"
        axes.plot(places, np.zeros(len(rates)), color="black", lw=1)
        axes.plot(places[0], 0, color="black", marker="s", linestyle="none", label=first)
        judgements = judge(mean, half_width)
        judgements[0] = np.nan  # it is compared with itself
        lengths = np.where(np.isfinite(half_width), half_width, 0)
        for judgement, (label, color, marker) in STYLES.items():
            shown = (judgements == judgement) & (mean >= bottom)
            style = {"color": color, "marker": marker, "linestyle": "none", "capsize": 3}
            axes.errorbar(places[shown], mean[shown], lengths[shown], label=label, **style)
            for row in np.flatnonzero((judgements == judgement) & (mean < bottom)):
                text = f"{mean[row]:.1f} →".replace("-", "−")  # turned, the arrow points down
                style = {"color": color, "rotation": 270, "ha": "center", "va": "bottom"}
                axes.text(places[row], bottom + 0.02 * (top - bottom), text, **style)
        axes.xaxis.set_major_locator(MaxNLocator(10))


def plot_differences_by_epoch(title: str, rates: list[float], accuracies: np.ndarray) -> Figure:
    """Plots each rate's accuracy minus the first one's: float [normalizations, seeds, rates, epochs]."""
    figure, all_axes = make_panels(title, "epoch")
    label_differences(all_axes[0], rates)
    lines = plot_comparisons_by_epoch(all_axes, rates, accuracies)
    add_legend(figure, lines)
    return figure


def plot_comparisons_by_epoch(
    all_axes: list[Axes], rates: list[float], accuracies: np.ndarray
) -> list[Line2D]:
    """Fills panels that share their vertical axis: float [panels, seeds, rates, epochs].

    A filled marker stands where the interval leaves out 0. Rates that always lie below the axis are
    named there. Returns the lines of the last panel.
    """
    comparisons = np.array([compare_epochs(100 * values) for values in accuracies])
    bottom, top = difference_limits(comparisons[:, 0], np.zeros_like(comparisons[:, 0]))
    all_axes[0].set_ylim(bottom, top)
    epochs = np.arange(1, accuracies.shape[-1] + 1)
    styles = line_styles(len(rates))
    for axes, (means, half_widths) in zip(all_axes, comparisons):
        mark_epochs(axes, len(epochs))
        lines = []
        below = []
        by_rate = zip(name_rates(rates), styles, means, half_widths, strict=True)
        for name, style, mean, half_width in by_rate:
            lines += axes.plot(epochs, mean, label=f"rate {name}", **style)
            is_open = judge(mean, half_width) == 0
            open_style = style | {"linestyle": "none", "markerfacecolor": "white"}
            axes.plot(epochs[is_open], mean[is_open], **open_style)
            if np.nanmax(mean) < bottom:
                below.append(name)
        if below:
            named = ", ".join(below) if len(below) <= 5 else count(len(below), "rate")
            place = {"transform": axes.transAxes, "fontsize": "small"}
            axes.text(0.02, 0.02, f"further down: {named}", **place)
    return lines


def as_image(figure: Figure) -> bytes:
    """Returns a figure in FIGURE_FORMAT, the same bytes at every run."""
    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=FIGURE_FORMAT, metadata=no_date.get(FIGURE_FORMAT))
    return buffer.getvalue()


@matplotlib.style.context(["default", {"svg.hashsalt": "fixed"}])  # whatever the user's settings
def plot_results(
    data_name: str, rates: list[float], history: np.ndarray, final: np.ndarray
) -> dict[str, bytes]:
    """Returns the figures by file name.

    HISTORY [normalizations, seeds, rates, epochs] and FINAL [normalizations, seeds, rates].
    """
    seeds = history.shape[1]
    run = f"{data_name}, {count(history.shape[-1], 'epoch')}, {count(seeds, 'seed')}"
    question = "does dropout help?" if rates[0] == 0 else "does more dropout help?"
    last = "95 % intervals, simultaneous for all rates"
    by_epoch = "filled where a 95 % interval, simultaneous for all rates, leaves out 0"
    if seeds < 3:
        last = "no intervals: these take three seeds"
        by_epoch = last
    difference = f"{run}: {question}\n({last})"
    from_when = f"{run}: from when?\n({by_epoch})"
    final_title = f"{run}: accuracy after the last epoch"
    training = f"{run}: training accuracy, dropout on"
    validation = f"{run}: validation accuracy, dropout off"
    loss = f"{run}: validation loss, dropout off"
    figures = {
        "accuracy": plot_epochs(training, "accuracy", rates, history["accuracy"]),
        "val_accuracy": plot_epochs(validation, "accuracy", rates, history["val_accuracy"]),
        "val_loss": plot_epochs(loss, "loss", rates, history["val_loss"]),
        "rates": plot_rates(final_title, rates, final),
        "difference": plot_differences(difference, rates, final["val_accuracy"]),
        "difference_by_epoch": plot_differences_by_epoch(from_when, rates, history["val_accuracy"]),
    }
    return {f"{kind}.{FIGURE_FORMAT}": as_image(figure) for kind, figure in figures.items()}


# Data
ARRAY_NAMES = ["x_train", "y_train", "x_test", "y_test"]
IMAGE_SETS = ["mnist", "fashion_mnist", "cifar10", "cifar100"]
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def load_data() -> tuple[str, list[np.ndarray]]:
    """Returns a name and four arrays: uint8 [images, pixels] and int64 [images], for both sets."""
    if DATA_FILE:
        name = Path(DATA_FILE).stem
        arrays = read_data_file()
    else:
        name, arrays = load_dataset()
    x_train, y_train, x_test, y_test = arrays
    return name, [
        x_train.reshape(len(x_train), -1).astype(np.uint8, order="C", copy=False),
        y_train.reshape(-1).astype(np.int64),
        x_test.reshape(len(x_test), -1).astype(np.uint8, order="C", copy=False),
        y_test.reshape(-1).astype(np.int64),
    ]


def load_dataset() -> tuple[str, list[np.ndarray]]:
    """Returns a name and DATASET, through Keras's cache, or drawn digits where MNIST can't be had."""
    time_out = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds; Keras would wait for ever on a silent connection
    try:
        train, test = getattr(keras.datasets, DATASET).load_data()
        return DATASET, [*train, *test]
    except Exception as error:
        # No network: a bare Exception. A broken connection: OSError. A damaged file: ValueError.
        if type(error) not in (Exception, ValueError) and not isinstance(error, OSError):
            raise
        problem = f"{DATASET} could not be downloaded ({error})."
    finally:
        socket.setdefaulttimeout(time_out)
    advice = "start the script once where there is a network, or name an .npz of them in DATA_FILE"
    if DATASET != "mnist":
        sys.exit(f"DATASET is {DATASET!r}, but {problem} For the images, {advice}.")
    print(f"{problem} Digits drawn from fonts stand in for it,")
    print(f"with other numbers. For the real images, {advice}.")
    return "drawn_digits", draw_digits()


def read_data_file() -> list[np.ndarray]:
    """Returns the arrays of DATA_FILE, or ends the run with a sentence."""
    path = os.path.expanduser(DATA_FILE)
    try:
        zipfile.ZipFile(path).close()  # NumPy would take what is no archive for a pickle
        with np.load(path) as archive:
            arrays = [np.asarray(archive[name]) for name in ARRAY_NAMES]
    except UNREADABLE as error:
        names = ", ".join(ARRAY_NAMES)
        sys.exit(f"DATA_FILE is {path!r}; it must be an .npz file with {names}: {error}.")

    def require(fits: bool, wanted: str) -> None:
        if not fits:
            held = [f"{name} {a.dtype} {list(a.shape)}" for name, a in zip(ARRAY_NAMES, arrays)]
            sys.exit(f"DATA_FILE is {path!r}, with {', '.join(held)}; it must hold {wanted}.")

    x_train, y_train, x_test, y_test = arrays
    for array in arrays:
        require(array.dtype.kind in "iu" and array.size > 0, "whole numbers, some in each")
    require(x_train.ndim > 1 and x_train.shape[1:] == x_test.shape[1:], "images of one size")
    for images, labels in ((x_train, y_train), (x_test, y_test)):
        require(images.min() >= 0 and images.max() <= 255, "pixels from 0 to 255")
        require(labels.size == len(images), "one label for each image")
        highest = min(y_train.max(), 65535)
        fits = labels.min() >= 0 and labels.max() <= highest
        require(fits, "labels from 0 to 65535, in y_test none above those in y_train")
    return arrays


@matplotlib.style.context("default")  # the same digits, whatever the user's settings
def draw_digits(train_size: int = 60_000, test_size: int = 10_000) -> list[np.ndarray]:
    """Returns a stand-in for MNIST, in the order of ARRAY_NAMES, the same at every call.

    Digits in the fonts that Matplotlib carries, turned, shifted and noisy: uint8 [images, 28, 28].
    """
    random = np.random.default_rng(0)
    copies = 300  # of each digit, in as many looks; the last 50 are for validation
    side = 28  # pixels
    fonts_folder = Path(matplotlib.get_data_path(), "fonts", "ttf")
    fonts = sorted(fonts_folder.glob("DejaVuS*[!y].ttf"))  # all but the ones for display
    sheet = Figure(figsize=(10, copies), dpi=side, facecolor="black")  # a row for each copy
    for copy, digit in itertools.product(range(copies), range(10)):
        sheet.text(
            x=(digit + random.normal(0.5, 0.06)) / 10,
            y=1 - (copy + random.normal(0.5, 0.06)) / copies,
            s=str(digit),
            font=random.choice(fonts),
            fontsize=random.uniform(45, 65),
            rotation=random.normal(0, 12),
            color="white",
            horizontalalignment="center",
            verticalalignment="center",
        )
    buffer = io.BytesIO()
    sheet.savefig(buffer, format="rgba")
    pixels = np.frombuffer(buffer.getvalue(), np.uint8).reshape(copies, side, 10, side, 4)
    digits = pixels[..., 0].swapaxes(1, 2)  # [copies, digits, side, side]; red will do

    arrays = []
    for size, looks in ((train_size, range(250)), (test_size, range(250, copies))):
        labels = random.integers(10, size=size)
        noise = random.integers(100, size=(size, side, side), dtype=np.uint8)
        images = digits[random.integers(looks.start, looks.stop, size=size), labels]
        arrays.append(np.maximum(images, noise))
        arrays.append(labels)
    return arrays


# Files
def write_file(name: str, content: bytes) -> Path:
    """Writes a file to FIGURES_DIR, whole or not at all, and returns its path."""
    path = Path(os.path.expanduser(FIGURES_DIR), name)
    part = path.with_name(f".{name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except (OSError, UnicodeEncodeError) as error:
        with contextlib.suppress(OSError, UnicodeEncodeError):
            part.unlink()
        place = f"FIGURES_DIR is {str(FIGURES_DIR)!r}, where {name} cannot be written ({error})"
        sys.exit(f"{place}; it must be a folder of yours on a disk with room.")
    return path


def as_csv(key_names: list[str], keys: list[list], results: np.ndarray) -> bytes:
    """Returns CSV with a row for each combination of keys: HISTORY or FINAL [each key's values].

    What was not trained, and so has no accuracy, has no row.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*key_names, *results.dtype.names])
    for key, row in zip(itertools.product(*keys), results.reshape(-1), strict=True):
        if not np.isnan(row["accuracy"]):
            writer.writerow([*key, *(f"{value:.6f}" for value in row)])
    return text.getvalue().encode()


def write_results(
    data_name: str, rates: list[float], history: np.ndarray, final: np.ndarray
) -> None:
    """Prints, plots and writes what came out.

    HISTORY [normalizations, seeds, rates, epochs] and FINAL [normalizations, seeds, rates].
    """
    is_trained = ~np.isnan(history["accuracy"]).all(axis=(0, 1, 2))
    history = history[..., is_trained]  # without the epochs after a loop that ended early
    epochs = history.shape[-1]
    names = [name_normalization(normalization) for normalization in NORMALIZATIONS]
    for normalization, *results in zip(NORMALIZATIONS, history, final):
        sweeps = f"{describe_normalization(normalization)}, {count(len(SEEDS), 'seed')}"
        print(f"\nAfter epoch {epochs}, {sweeps}")
        print(results_table(rates, *results))

    key_names = ["normalization", "seed", "dropout_rate"]
    keys = [names, SEEDS, [float(rate) for rate in rates]]
    outputs = {
        "history.csv": as_csv([*key_names, "epoch"], [*keys, range(1, epochs + 1)], history),
        "final.csv": as_csv(key_names, keys, final),
        **plot_results(data_name, rates, history, final),
    }
    print()
    for kind, content in outputs.items():
        print(f"Wrote {write_file(f'network_dropout_{data_name}_{kind}', content)}")


# Records of finished sweeps, from which an interrupted run continues
if os.path.isfile(globals().get("__file__", "")):
    SCRIPT = Path(__file__).read_bytes()  # as it is loaded; it may be saved anew while it runs
else:
    SCRIPT = os.urandom(32)  # pasted into a notebook: what runs cannot be told from what will
LOADED = {}  # the parts of this module as they were when it was loaded: see the last lines


def digest_run(arrays: list[np.ndarray]) -> str:
    """Returns a digest of all that the numbers depend on: script, constants, versions, data.

    What a notebook has put in place of something that is more than plain numbers and strings cannot
    be told from what comes next time: such a run gets a digest that never comes again.
    """
    digest = hashlib.sha256(SCRIPT)
    versions = [tf.__version__, keras.__version__, np.__version__]
    digest.update(repr(versions).encode())
    for name, value in name_parts().items():
        if is_plain(value):
            digest.update(f"{name} = {value!r}\n".encode())
        elif value is not LOADED.get(name):
            digest.update(os.urandom(32))
    for array in arrays:
        digest.update(repr(array.shape).encode())
        digest.update(array)
    return digest.hexdigest()


def name_parts() -> dict[object, object]:
    """Returns all functions and constants of this module, and the normalizations, by their names."""
    parts = {name: value for name, value in globals().items() if not name.startswith("_")}
    return parts | NORMALIZATION_LAYERS


def is_plain(value: object) -> bool:
    """Tells whether a value's `repr` says all about it."""
    if isinstance(value, (list, tuple)):
        return all(is_plain(each) for each in value)
    return value is None or type(value) in (bool, int, float, str, range)


def record_name(digest: str, place: tuple[int, int]) -> str:
    """Returns the file name of a sweep's record: place counts normalizations and seeds."""
    return f".network_dropout_{digest[:20]}_{place[0]}_{place[1]}.npz"


def read_record(path: Path, rates: int) -> list[np.ndarray] | None:
    """Returns HISTORY [rates, epochs] and FINAL [rates] of a finished sweep, or None."""
    if not path.exists():
        return None
    with contextlib.suppress(*UNREADABLE, TypeError, AttributeError):  # these two of other files
        with np.load(path) as record:
            results = [record["history"], record["final"]]
        if [each.shape for each in results] == [(rates, EPOCHS), (rates,)]:
            return results
    print(f"{path} is damaged: what it held is trained again.")
    return None


def read_records(folder: Path, digest: str, rates: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns what there is of a run: HISTORY [normalizations, seeds, rates, epochs] and FINAL.

    NaN stands for all that has to be trained yet.
    """
    history = np.full([len(NORMALIZATIONS), len(SEEDS), rates, EPOCHS], np.nan, HISTORY)
    final = np.full(history.shape[:-1], np.nan, FINAL)
    for place in np.ndindex(history.shape[:2]):
        record = read_record(folder / record_name(digest, place), rates)
        if record is not None:
            history[place], final[place] = record
    return history, final


def write_record(digest: str, place: tuple[int, int], results: tuple) -> None:
    """Writes HISTORY and FINAL of a finished sweep."""
    history, final = results
    buffer = io.BytesIO()
    np.savez(buffer, history=history, final=final)
    write_file(record_name(digest, place), buffer.getvalue())


# Speed
@contextlib.contextmanager
def accelerated(
    networks: list[keras.Model], seed: int, step: tf.Tensor, batch_size: tf.Tensor
) -> Iterator[None]:
    """Lets some stock parts of the networks compute faster, while their training step is traced.

    Nothing but speed depends on it, and which units dropout drops. Afterwards the networks are again
    as Keras made them. A plain Sequential calls each layer once a step, which dropout relies on.
    """
    with contextlib.ExitStack() as replaced:
        for network in networks:
            layers = network.layers if type(network) is keras.Sequential else []
            for place, layer in enumerate(layers):
                if is_plain_dropout(layer):
                    numbers = tf.stack([tf.cast(seed, tf.int64), step * len(layers) + place])
                    replace(replaced, layer, "call", shared_dropout(layer, numbers, batch_size))
                if is_plain_layer_normalization(layer):
                    replace(replaced, layer, "call", shared_normalization(layer))
            optimizer = network.optimizer
            if type(optimizer).apply is keras.optimizers.Optimizer.apply:
                apply = fast_apply(optimizer, network.trainable_variables)
                replace(replaced, optimizer, "apply", apply)
        yield


def replace(replaced: contextlib.ExitStack, part: object, name: str, method: Callable) -> None:
    """Gives a part of a network another method, until the stack is closed."""
    setattr(part, name, method)
    replaced.callback(delattr, part, name)


def is_plain_dropout(layer: keras.Layer) -> bool:
    """Tells whether a layer is Keras's Dropout in float32, with nothing but a rate."""
    return (
        type(layer) is keras.layers.Dropout
        and layer.dtype_policy.name == "float32"
        and 0 < layer.rate < 1
        and layer.seed is None
        and layer.noise_shape is None
    )


def shared_dropout(
    layer: keras.layers.Dropout, numbers: tf.Tensor, batch_size: tf.Tensor
) -> Callable:
    """Returns a Dropout's `call`, its random numbers a function of two numbers, int64 [2].

    They do not depend on the rate. So TensorFlow draws them once for all networks, and what is
    dropped at rate 0.2 is dropped at 0.3 too: common random numbers make the comparison sharper.
    """

    def call(inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        if not training:
            return inputs
        shape = [batch_size, *inputs.shape[1:]]
        return tf.nn.experimental.stateless_dropout(
            inputs, layer.rate, seed=numbers, rng_alg="philox", noise_shape=shape
        )

    return call


def is_plain_layer_normalization(layer: keras.Layer) -> bool:
    """Tells whether a layer is Keras's LayerNormalization in float32, over the last axis."""
    return (
        type(layer) is keras.layers.LayerNormalization
        and layer.dtype_policy.name == "float32"
        and layer.axis in (-1, [-1])
        and layer.center
        and layer.scale
        and not getattr(layer, "rms_scaling", False)  # an option of some versions of Keras
    )


def shared_normalization(layer: keras.layers.LayerNormalization) -> Callable:
    """Returns a LayerNormalization's `call` (Ba et al., arXiv 1607.06450) with its scale last.

    What comes before it is then the same for all networks, and TensorFlow computes it once.
    """

    def call(inputs: tf.Tensor) -> tf.Tensor:
        if inputs.dtype != tf.float32:
            return type(layer).call(layer, inputs)
        mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
        standardized = (inputs - mean) * tf.math.rsqrt(variance + layer.epsilon)
        return standardized * layer.gamma + layer.beta

    return call


def fast_apply(optimizer: keras.optimizers.Optimizer, all_variables: list) -> Callable:
    """Returns an optimizer's `apply` that does not sum gradients over devices, as one alone is used.

    That sum would keep each sweep's graph in memory for ever (issue 97697 of TensorFlow). And a
    plain Adam then takes a variable's step in one operation instead of a dozen.
    """
    replica = tf.distribute.get_replica_context()

    def apply(gradients: list, variables: list | None = None) -> None:
        with contextlib.ExitStack() as replaced:
            if is_plain_adam(optimizer, all_variables):
                update_step = fused_update_step(optimizer, all_variables)
                replace(replaced, optimizer, "update_step", update_step)
            replica.merge_call(
                lambda strategy: type(optimizer).apply(optimizer, gradients, variables)
            )

    return apply


def is_plain_adam(optimizer: keras.optimizers.Optimizer, variables: list) -> bool:
    """Tells whether an optimizer is the Adam that TensorFlow has as one operation, in float32."""
    is_adam = type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad
    return is_adam and all(variable.dtype == "float32" for variable in variables)


def fused_update_step(optimizer: keras.optimizers.Adam, variables: list) -> Callable:
    """Returns Adam's `update_step` for the step at hand (Kingma and Ba, arXiv 1412.6980).

    The moments are those that the optimizer made for these variables.
    """
    step = tf.cast(optimizer.iterations + 1, tf.float32)
    beta_1_power = optimizer.beta_1**step
    beta_2_power = optimizer.beta_2**step
    momentums = [each.value for each in optimizer.variables if each.name.endswith("_momentum")]
    velocities = [each.value for each in optimizer.variables if each.name.endswith("_velocity")]
    references = [variable.value.ref() for variable in variables]
    moments = dict(zip(references, zip(momentums, velocities, strict=True), strict=True))

    def update_step(gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        if isinstance(gradient, tf.IndexedSlices):  # of an Embedding; there is no such operation
            keras.optimizers.Adam.update_step(optimizer, gradient, variable, learning_rate)
            return
        momentum, velocity = moments[variable.ref()]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=beta_1_power,
            beta2_power=beta_2_power,
            lr=tf.cast(learning_rate, tf.float32),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return update_step


# Checks
def check_constants() -> None:
    """Ends the run with a sentence about the first constant that holds what it must not."""

    def is_whole(value: object, lowest: int) -> bool:
        return type(value) is int and value >= lowest

    def is_rate(value: object) -> bool:
        return isinstance(value, (int, float)) and type(value) is not bool and 0 <= value < 1

    def is_list(values: object, fits: Callable) -> bool:
        if type(values) not in (list, tuple, range) or len(values) == 0:
            return False
        return all(fits(value) and values.count(value) == 1 for value in values)

    def is_path(value: object) -> bool:
        return isinstance(value, (str, Path)) and str(value) != "" and "\0" not in str(value)

    known = list(NORMALIZATION_LAYERS)
    checks = [  # the constant, whether its value fits, what the value must be
        (
            "DROPOUT_RATES",
            is_list(DROPOUT_RATES, is_rate),
            "a list of different numbers from 0 to below 1",
        ),
        (
            "NORMALIZATIONS",
            is_list(NORMALIZATIONS, known.__contains__),
            f"a list of one or more of {known}, each once",
        ),
        (
            "SEEDS",
            is_list(SEEDS, lambda seed: is_whole(seed, 0) and seed < 2**31),
            "a list of different whole numbers from 0 to 2147483647",
        ),
        ("EPOCHS", is_whole(EPOCHS, 1), "a whole number from 1"),
        ("BATCH_SIZE", is_whole(BATCH_SIZE, 1), "a whole number from 1"),
        ("HIDDEN_UNITS", is_whole(HIDDEN_UNITS, 1), "a whole number from 1"),
        (
            "LEARNING_RATE",
            isinstance(LEARNING_RATE, float) and 0 < LEARNING_RATE < math.inf,
            "a float above 0, such as 0.001",
        ),
        ("DATASET", DATASET in IMAGE_SETS, f"one of {IMAGE_SETS}"),
        ("DATA_FILE", DATA_FILE is None or is_path(DATA_FILE), "None or the path of an .npz file"),
        ("FIGURES_DIR", is_path(FIGURES_DIR), "the path of a folder"),
        ("FIGURE_FORMAT", FIGURE_FORMAT in ["png", "svg", "pdf"], '"png", "svg" or "pdf"'),
    ]
    for name, fits, wanted in checks:
        if not fits:
            sys.exit(f"{name} is {globals()[name]!r}; it must be {wanted}.")
    names = [name_normalization(normalization) for normalization in NORMALIZATIONS]
    if len(set(names)) < len(names):
        sys.exit(f"NORMALIZATIONS is {NORMALIZATIONS!r}; it must hold names that differ in print.")


def check_network(network: object, pixels: int) -> None:
    """Ends the run with a sentence about what `build_network` returns, where it cannot work."""

    def require(fits: bool, found: str, wanted: str) -> None:
        if not fits:
            sys.exit(f"build_network returns {found}; it must return {wanted}.")

    require(isinstance(network, keras.Model), repr(network), "a compiled Keras model")
    require(network.compiled, "a model that is not compiled", "a compiled Keras model")
    shapes = input_shapes(network)
    for shape in shapes:
        fits = len(shapes) == 1 and (None in shape or math.prod(shape) == pixels)
        require(fits, f"a model with inputs of {shapes}", f"one with one input of {pixels} pixels")


def check_logs(network: keras.Model, logs: object, step: str) -> None:
    """Ends the run with a sentence where a step does not report loss and accuracy by its metrics."""
    logs = logs if isinstance(logs, dict) else {}
    results = network.get_metrics_result()
    reported = []
    for name in ["loss", *ACCURACY_NAMES]:
        is_there = name in logs and name in results
        if is_there and np.isclose(logs[name], results[name], equal_nan=True):
            reported.append(name)
    if "loss" not in reported or len(reported) < 2:
        sys.exit(
            f"build_network returns a model whose {step} reports {list(logs)}; it must report "
            f'"loss" and one of {ACCURACY_NAMES}, as results of metrics of the model.'
        )


def build_first_networks(rates: list[float], pixels: int, classes: int) -> dict:
    """Returns the networks of the first seed by normalization, and prints one of each.

    What cannot be built, or cannot train on blank images, ends the run before anything is trained.
    """
    first_networks = {}
    for normalization in NORMALIZATIONS:
        networks = build_networks(normalization, SEEDS[0], rates, pixels, classes)
        parts = [part for each in networks for part in (each.optimizer, *each.variables)]
        if len({id(part) for part in parts}) < len(parts):
            sys.exit("build_network returns parts of an earlier model; it must return new ones.")
        (trial,) = build_networks(normalization, SEEDS[0], rates[-1:], pixels, classes)
        images = reshape_images(trial, tf.zeros([2, pixels]))
        logs = trial.train_step((images, tf.constant([0, classes - 1], tf.int64)))
        check_logs(trial, logs, "train_step")
        trial.summary()
        first_networks[normalization] = networks
    return first_networks


# Main
def set_up() -> None:
    """Sets what TensorFlow and the terminal need, for this process."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for what a terminal cannot show
    with contextlib.suppress(RuntimeError):  # where a notebook has used TensorFlow before
        # The matrices are too small to split: let the networks share out the cores instead.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")  # it warns where each sweep rightly makes a new graph


def tell_what_seeds_take(seconds: float) -> None:
    """Prints how many seeds tell chance from effect; seconds are what one takes."""
    ten_seeds = datetime.timedelta(seconds=round(10 * seconds))
    print(f"With {count(len(SEEDS), 'seed')}, chance cannot be told from effect. On MNIST, ten")
    print("seeds find a difference of 0.2 points after ten epochs about nine times in ten:")
    print(f"SEEDS = range(10). Here that takes about {ten_seeds}.")


def main() -> None:
    """Trains what the constants describe and is not on record yet, and writes what comes out."""
    check_constants()
    set_up()
    data_name, arrays = load_data()
    trial = write_file(f".network_dropout_{data_name}.trial", bytes(1_000_000))  # is there room?
    trial.unlink(missing_ok=True)
    rates = sorted(DROPOUT_RATES)
    pixels = arrays[0].shape[1]
    classes = int(arrays[1].max()) + 1
    print(f"{data_name}: {len(arrays[0])} training images, {len(arrays[2])} for validation")
    first_networks = build_first_networks(rates, pixels, classes)

    digest = digest_run(arrays)
    history, final = read_records(trial.parent, digest, len(rates))
    places = list(np.ndindex(history.shape[:2]))  # of each normalization and seed
    missing = [place for place in places if np.isnan(final["accuracy"][place]).all()]
    if len(missing) < len(places):
        print("Continues the interrupted run.", flush=True)
    with tf.device("CPU"):  # TensorFlow gathers uint8 on no GPU, and would copy the images back
        data = [tf.constant(array) for array in arrays]
    del arrays  # they have been copied
    started = time.monotonic()
    for number, place in enumerate(missing):
        normalization = NORMALIZATIONS[place[0]]
        seed = SEEDS[place[1]]
        print(f"\nValidation accuracy in %, {describe_normalization(normalization)}, seed {seed}")
        if seed == SEEDS[0]:
            networks = first_networks.pop(normalization)
        else:
            networks = build_networks(normalization, seed, rates, pixels, classes)
        results = train_sweep(Sweep(networks, seed), rates, data, len(missing) - number)
        history[place], final[place] = results
        write_record(digest, place, results)
    seconds = time.monotonic() - started

    write_results(data_name, rates, history, final)
    for place in places:  # nothing is left to continue
        (trial.parent / record_name(digest, place)).unlink(missing_ok=True)
    if len(SEEDS) < 3 and len(rates) > 1 and missing:
        tell_what_seeds_take(seconds / len(missing) * len(NORMALIZATIONS))


LOADED.update(name_parts())
if __name__ == "__main__":
    main()
