"""How does the dropout rate change what a small network learns?

    python dropout_sweep.py

trains a multilayer perceptron on MNIST for each dropout rate from 0.0 to 0.9, all side by side. In
half a minute on two cores it writes to figures/, as network_dropout_mnist_...: accuracies and losses
by epoch (accuracy.png, val_accuracy.png, val_loss.png, history.csv) and after the last epoch, each
rate against rate 0.0 among them (difference.png, rates.png, final.csv). MNIST's test images serve
for validation.

With 20 seeds, rate 0.2 came out best after 10 epochs, 0.19 ± 0.08 percentage points of validation
accuracy above no dropout, and rate 0.4 after 30 epochs, 0.49 ± 0.20 above (95 % intervals).

To try something else, change a constant below, or the network in `build_network`, and run it again.
"""

import contextlib
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
from collections.abc import Callable, Iterable, Iterator
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
def quiet_and_quick() -> Iterator[None]:
    """Shuts standard error, where TensorFlow writes as it starts, and saves a second.

    That is what garbage collection takes; of what is imported, nothing is garbage.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        error_stream = os.dup(2)
    except OSError:  # there is none, as on Windows without a console
        error_stream = nowhere
    os.dup2(nowhere, 2)
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
        os.dup2(error_stream, 2)


os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # errors alone
for variable in ("TF_ENABLE_ONEDNN_OPTS", "TF_XLA_FLAGS", "XLA_FLAGS"):
    os.environ.pop(variable, None)  # each would change the rounding, and so the numbers
with quiet_and_quick():
    import keras
    import matplotlib.style
    import numpy as np
    import tensorflow as tf
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
    from tensorflow import Tensor
keras.config.set_floatx("float32")  # these four, whatever keras.json says
keras.config.set_dtype_policy("float32")
keras.config.set_epsilon(1e-7)
keras.config.set_image_data_format("channels_last")


# Network
NORMALIZATION_LAYERS = {
    "layer": keras.layers.LayerNormalization,
    "batch": keras.layers.BatchNormalization,
    None: keras.layers.Identity,
}


def build_network(normalization: str | None, rate: float, pixels: int, classes: int) -> keras.Model:
    """Returns an untrained, compiled network: float32 [images, pixels] -> [images, classes].

    Change layers, loss and optimizer as you like: they train as in Keras's `fit`. Pixels go from 0
    to 1; to `keras.Input([28, 28])` they come in that shape. All rates of a seed start from the same
    weights, 0.0 from those that the smallest rate above it would get. What `tf.random` draws as the
    network runs, not one of Keras's layers, is different when other rates train beside it.
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
    )
    return network


# Training
IMAGES = tf.TensorSpec([None, None], tf.uint8)  # [images, pixels]
NUMBERS = tf.TensorSpec([None], tf.int64)  # [images], such as their labels
NUMBER = tf.TensorSpec([], tf.int64)


class Sweep:
    """A network for each rate, trained side by side on the same batches in one TensorFlow graph.

    Each trains exactly as it would alone, while TensorFlow spreads them over the cores, and computes
    once what is the same for several: equal operations on equal inputs become one.
    """

    def __init__(
        self, normalization: str | None, seed: int, rates: list[float], pixels: int, classes: int
    ) -> None:
        self.normalization = normalization
        self.seed = seed
        self.rates = rates
        self.networks = build_networks(normalization, seed, rates, pixels, classes)

    @tf.function(input_signature=[IMAGES, NUMBERS, NUMBERS, NUMBER])
    def train_epoch(self, images: Tensor, labels: Tensor, order: Tensor, epoch: Tensor) -> Tensor:
        """Trains on all images in this order. Returns losses and accuracies, float64 [2, rates].

        They are means over the epoch, while the weights move and dropout is on, as in Keras's
        `History`. `order` holds the places of the images; `epoch` counts from 1.
        """
        size = tf.size(order, tf.int64)
        batches = (size + BATCH_SIZE - 1) // BATCH_SIZE
        step = (epoch - 1) * batches
        totals = tf.zeros([2, len(self.networks)], tf.float64)
        for start in tf.range(0, size, BATCH_SIZE):
            # One batch after the other, or a layer's own random numbers would depend on timing.
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            step += 1
            batch = order[start : start + BATCH_SIZE]
            batch_images = scale_pixels(tf.gather(images, batch))
            totals += self.train_step(batch_images, tf.gather(labels, batch), step)
        return totals / tf.cast(size, tf.float64)

    @tf.function(input_signature=[IMAGES, NUMBERS])
    def evaluate(self, images: Tensor, labels: Tensor) -> Tensor:
        """Returns the losses and accuracies with dropout off, float64 [2, rates]."""
        size = tf.size(labels, tf.int64)
        totals = tf.zeros([2, len(self.networks)], tf.float64)
        for start in tf.range(0, size, BATCH_SIZE):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            end = start + BATCH_SIZE
            totals += self.evaluate_batch(scale_pixels(images[start:end]), labels[start:end])
        return totals / tf.cast(size, tf.float64)

    def finish(self) -> None:
        """Ends the training as Keras's `fit` does: averages that an optimizer keeps now count."""
        for network in self.networks:
            network.optimizer.finalize_variable_values(network.trainable_variables)

    @tf.autograph.experimental.do_not_convert  # as in Keras's fit; tracing takes half the time
    def train_step(self, images: Tensor, labels: Tensor, step: Tensor) -> Tensor:
        """Takes a step with every network, and returns the batch's totals from before it."""
        losses = []
        outputs = []
        for network in self.networks:
            with tf.GradientTape() as tape:
                network_outputs = self.call(network, images, step)
                loss = network.compute_loss(x=images, y=labels, y_pred=network_outputs)
                scaled_loss = network.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled_loss, network.trainable_variables)
            apply_gradients(network, gradients)
            losses.append(loss)
            outputs.append(network_outputs)
        return totals_of_batch(losses, outputs, labels)

    @tf.autograph.experimental.do_not_convert
    def evaluate_batch(self, images: Tensor, labels: Tensor) -> Tensor:
        """Returns the batch's totals with dropout off."""
        losses = []
        outputs = []
        for network in self.networks:
            network_outputs = self.call(network, images)
            losses.append(network.compute_loss(x=images, y=labels, y_pred=network_outputs))
            outputs.append(network_outputs)
        return totals_of_batch(losses, outputs, labels)

    def call(self, network: keras.Model, images: Tensor, step: Tensor | None = None) -> Tensor:
        """Returns what a network makes of images, float [batch, pixels] -> float [batch, classes].

        With the number of a step it is called for training. Two plain layers are computed in our
        own way, so that the networks share their work; everything else is Keras's.
        """
        training = step is not None
        outputs = tf.reshape(images, [-1, *network.input_shape[1:]])
        outputs = tf.cast(outputs, network.inputs[0].dtype)
        if not is_plain_chain(network):
            return network(outputs, training=training)
        for place, layer in enumerate(network.layers):
            is_float32 = outputs.dtype == tf.float32
            if training and is_float32 and is_plain_dropout(layer):
                numbers = [self.seed, step * len(network.layers) + place]
                outputs = drop(outputs, layer.rate, numbers, batch_size=tf.shape(images)[0])
            elif is_float32 and is_plain_layer_normalization(layer):
                outputs = normalize(outputs, layer)
            else:
                outputs = layer(outputs, training=training)
        return outputs


def scale_pixels(images: Tensor) -> Tensor:
    """uint8 from 0 to 255 -> float32 from 0 to 1. A batch at a time, this takes little memory."""
    return tf.cast(images, tf.float32) / 255


def totals_of_batch(losses: list[Tensor], outputs: list[Tensor], labels: Tensor) -> Tensor:
    """Returns each network's loss, summed over the images, and how many images it gets right.

    losses: a number for each network, the mean over the images; outputs: [images, classes] for each;
    labels: int64 [images]. Returns float64 [2, networks].
    """
    loss_sums = tf.cast(tf.stack(losses), tf.float64) * tf.cast(tf.size(labels), tf.float64)
    right = tf.argmax(tf.stack(outputs), axis=-1) == labels
    correct = tf.math.count_nonzero(right, axis=-1)
    return tf.stack([loss_sums, tf.cast(correct, tf.float64)])


def build_networks(
    normalization: str | None, seed: int, rates: list[float], pixels: int, classes: int
) -> list[keras.Model]:
    """Returns a network for each rate. All start from the same weights and random states."""
    networks = []
    for rate in rates:
        keras.utils.set_random_seed(seed)
        network = build_network(normalization, rate, pixels, classes)
        check_network(network, pixels, classes)
        if rate == 0:
            # Keras draws no seed for Dropout(0), and so other weights for the layers behind it. It
            # does draw one at the smallest rate that there is.
            keras.utils.set_random_seed(seed)
            twin = build_network(normalization, sys.float_info.min, pixels, classes)
            copy_variables(network, twin)
        network.optimizer.build(network.trainable_variables)
        networks.append(network)
    parts = [part for network in networks for part in (network.optimizer, *network.variables)]
    if len({id(part) for part in parts}) < len(parts):
        sys.exit("build_network returns parts of an earlier network; it may return new ones alone.")
    return networks


def copy_variables(layer: keras.Layer, twin: keras.Layer) -> None:
    """Gives a layer, and the layers in it, the values of a twin, where they have the same shapes."""
    inner = getattr(layer, "layers", [])
    inner_twins = getattr(twin, "layers", [])
    if [type(each) for each in inner] != [type(each) for each in inner_twins]:
        return  # another network at rate 0, which keeps its own weights
    for kind in ("weights", "variables"):  # the variables are weights and random states
        variables = getattr(layer, kind)
        twin_variables = getattr(twin, kind)
        if [each.shape for each in variables] == [each.shape for each in twin_variables]:
            for variable, twin_variable in zip(variables, twin_variables):
                variable.assign(twin_variable)
    for inner_layer, inner_twin in zip(inner, inner_twins):
        copy_variables(inner_layer, inner_twin)


def is_plain_chain(network: keras.Model) -> bool:
    """Tells whether a network is one layer after another, without masks."""
    if type(network) is not keras.Sequential:
        return False
    for layer in network.layers:
        makes_mask = type(layer).compute_mask is not keras.Layer.compute_mask
        if makes_mask or isinstance(layer, keras.Model):
            return False
    return True


def is_plain_dropout(layer: keras.Layer) -> bool:
    """Tells whether a layer is Keras's Dropout with nothing but a rate from 0 to 1."""
    if type(layer) is not keras.layers.Dropout or not 0 < layer.rate < 1:
        return False
    plain = keras.layers.Dropout(0, name=layer.name, dtype="float32")
    return layer.get_config() == {**plain.get_config(), "rate": layer.rate}


def is_plain_layer_normalization(layer: keras.Layer) -> bool:
    """Tells whether a layer is Keras's LayerNormalization at its defaults."""
    plain = keras.layers.LayerNormalization([-1], name=layer.name, dtype="float32")
    return type(layer) is type(plain) and layer.get_config() == plain.get_config()


def drop(inputs: Tensor, rate: float, numbers: list, batch_size: Tensor) -> Tensor:
    """Dropout (Srivastava et al., JMLR 15, 2014), its random numbers a function of two numbers.

    They do not depend on the rate. So they are drawn once for all networks, and what is dropped at
    rate 0.2 is dropped at 0.3 too: the rates are compared on the same luck.
    """
    shape = [batch_size, *inputs.shape[1:]]
    noise = tf.random.stateless_uniform(shape, numbers, alg="philox")
    return inputs * (tf.cast(noise >= rate, inputs.dtype) / (1 - rate))


def normalize(inputs: Tensor, layer: keras.layers.LayerNormalization) -> Tensor:
    """Layer normalization (Ba et al., arXiv 1607.06450) with the layer's own scale last.

    What comes before it is then the same for all networks, and computed once.
    """
    mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
    standardized = (inputs - mean) * tf.math.rsqrt(variance + layer.epsilon)
    return standardized * layer.gamma + layer.beta


def apply_gradients(network: keras.Model, gradients: list[Tensor | None]) -> None:
    """Takes a step of the network's optimizer, as Keras's `fit` does."""
    optimizer = network.optimizer
    variables = network.trainable_variables
    if type(optimizer) is keras.optimizers.Adam and not optimizer.amsgrad:
        optimizer.update_step = fused_adam(optimizer, variables)
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):  # it refuses to be merged
        optimizer.apply(gradients, variables)
    else:
        # Inside merge_call, Keras does not sum gradients over devices. There is one alone, and the
        # sum would keep each sweep's graph in memory for ever (issue 97697 of TensorFlow).
        replica = tf.distribute.get_replica_context()
        replica.merge_call(lambda strategy: optimizer.apply(gradients, variables))
    vars(optimizer).pop("update_step", None)  # so that `fit` and `save` meet Keras's own again


def fused_adam(optimizer: keras.optimizers.Adam, variables: list) -> Callable:
    """Returns Adam's `update_step` for the step at hand, in one operation instead of a dozen.

    Kingma and Ba, arXiv 1412.6980. The moments are those that the optimizer made.
    """
    step = tf.cast(optimizer.iterations + 1, tf.float32)
    beta_1_power = optimizer.beta_1**step
    beta_2_power = optimizer.beta_2**step
    momentums = [each for each in optimizer.variables if each.name.endswith("_momentum")]
    velocities = [each for each in optimizer.variables if each.name.endswith("_velocity")]
    moments = {}
    for variable, momentum, velocity in zip(variables, momentums, velocities, strict=True):
        moments[variable.value.ref()] = (momentum.value, velocity.value)

    def update_step(gradient: Tensor, variable: tf.Variable, learning_rate: Tensor) -> None:
        if isinstance(gradient, tf.IndexedSlices):  # of an Embedding; there is no such operation
            keras.optimizers.Adam.update_step(optimizer, gradient, variable, learning_rate)
            return
        momentum, velocity = moments[variable.ref()]
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=momentum.handle,
            v=velocity.handle,
            beta1_power=tf.cast(beta_1_power, variable.dtype),
            beta2_power=tf.cast(beta_2_power, variable.dtype),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=optimizer.beta_1,
            beta2=optimizer.beta_2,
            epsilon=optimizer.epsilon,
            grad=gradient,
        )

    return update_step


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


def train_sweep(sweep: Sweep, data: list[Tensor], sweeps_left: int) -> list[np.ndarray]:
    """Trains a sweep, and prints a row for each epoch.

    Returns HISTORY [rates, epochs] and FINAL [rates].
    """
    train_images, train_labels, test_images, test_labels = data
    names = name_rates(sweep.rates)
    width = max(6, len(max(names, key=len)) + 1)
    kind = f"{sweep.normalization or 'no'} normalization"
    print(f"\nValidation accuracy in %, {kind}, seed {sweep.seed}")
    print(table_line("epoch", names, width) + f"{'sec':>6}{'left':>8}")
    history = np.zeros([len(sweep.rates), EPOCHS], HISTORY)
    started = time.monotonic()
    for epoch in range(1, EPOCHS + 1):
        epoch_started = time.monotonic()
        order = np.random.default_rng([sweep.seed, epoch]).permutation(len(train_images))
        loss, accuracy = sweep.train_epoch(train_images, train_labels, order, epoch).numpy()
        val_loss, val_accuracy = sweep.evaluate(test_images, test_labels).numpy()
        results = history[:, epoch - 1]
        results["accuracy"] = accuracy
        results["val_accuracy"] = val_accuracy
        results["loss"] = loss
        results["val_loss"] = val_loss
        now = time.monotonic()
        left = time_left(now - started, epoch, sweeps_left * EPOCHS)
        cells = [f"{100 * value:.2f}" for value in val_accuracy]
        seconds = now - epoch_started
        print(table_line(epoch, cells, width) + f"{seconds:>6.1f}{left:>8}", flush=True)

    sweep.finish()
    final = np.zeros(len(sweep.rates), FINAL)
    final["accuracy"] = accuracy
    _, accuracy_dropout_off = sweep.evaluate(train_images, train_labels).numpy()
    final["accuracy_dropout_off"] = accuracy_dropout_off
    val_loss, val_accuracy = sweep.evaluate(test_images, test_labels).numpy()
    final["val_accuracy"] = val_accuracy
    final["val_loss"] = val_loss
    return [history, final]


# Results
def name_rates(rates: list[float]) -> list[str]:
    """Returns short names for the rates, no two of them the same."""
    for digits in range(4, 18):
        names = [str(float(f"{rate:.{digits}g}")) for rate in rates]
        if len(set(names)) == len(rates):
            break
    return names


def time_left(seconds: float, epochs_done: int, epochs_in_all: int) -> str:
    """Returns the time that the other epochs will take, at the pace of those done: h:mm:ss."""
    left = seconds / epochs_done * (epochs_in_all - epochs_done)
    return str(datetime.timedelta(seconds=round(left)))


def table_line(head: object, cells: list[str], width: int) -> str:
    """Returns a line of a table, its cells flush right in columns of this width."""
    return f"{head:>5}" + "".join(f"{cell:>{width}}" for cell in cells)


def final_table(rates: list[float], final: np.ndarray) -> str:
    """Returns a table of FINAL [seeds, rates] in %: means and, in brackets, standard deviations."""
    columns = {
        "training": final["accuracy"],
        "dropout off": final["accuracy_dropout_off"],
        "validation": final["val_accuracy"],
        "gap": final["accuracy_dropout_off"] - final["val_accuracy"],
    }
    names = ["rate", *name_rates(rates)]
    head_width = len(max(names, key=len))
    heads = [name.rjust(head_width) for name in names]
    lines = [table_line(heads[0], list(columns), 16)]
    for row, head in enumerate(heads[1:]):
        cells = []
        for values in columns.values():
            cell = f"{100 * values[:, row].mean():.2f}"
            if len(values) > 1:
                cell += f" ({100 * values[:, row].std(ddof=1):.2f})"
            cells.append(cell)
        lines.append(table_line(head, cells, 16))
    return "\n".join(lines)


def standard_error(differences: np.ndarray) -> np.ndarray:
    """Returns the standard error of the mean over the seeds: float [..., seeds, rates] -> rates."""
    seeds = differences.shape[-2]
    return differences.std(axis=-2, ddof=1) / seeds**0.5


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


def compare_with_first(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns each rate's mean difference from the first, and the half-width of its interval.

    Float [seeds, rates] -> [rates] each, 0 at the first rate. Mean minus and plus half-width is a
    95 % interval, wide enough to hold for all rates at once: Dunnett's comparison with a control
    (JASA 50, 1955, 1096-1121), each difference with a standard error of its own. Under three seeds
    the half-width is infinite: their differences are too often the same by rounding alone.

    The rates of a seed start from the same weights and see the same batches, so the differences are
    taken seed by seed.
    """
    seeds, rates = values.shape
    differences = values - values[:, :1]
    half_width = np.full(rates, np.inf)
    if seeds >= 3 and rates > 1:
        half_width = critical_value(seeds, rates) * standard_error(differences)
    half_width[0] = 0
    return differences.mean(axis=0), half_width


def list_rates(rates: list[float], chosen: np.ndarray) -> str:
    """Returns the names of the chosen rates, bool [rates]; of neighbours, the first and the last."""
    parts = []
    named = zip(name_rates(rates), chosen)
    for is_chosen, group in itertools.groupby(named, key=lambda pair: pair[1]):
        names = [name for name, _ in group]
        if is_chosen and len(names) > 1:
            parts.append(f"{names[0]} to {names[-1]}")
        elif is_chosen:
            parts.append(names[0])
    return ", ".join(parts)


def judge_rates(mean: np.ndarray, half_width: np.ndarray) -> list[np.ndarray]:
    """Returns which rates are better than the first, not told apart from it, worse: bool [rates].

    Better or worse is a rate whose interval, mean minus and plus half-width, leaves out 0.
    """
    better = mean > half_width
    worse = mean < -half_width
    not_told_apart = ~better & ~worse
    not_told_apart[0] = False  # it is the first itself
    return [better, not_told_apart, worse]


def count(number: int, noun: str) -> str:
    """Returns a number with its noun, such as "1 seed" or "20 seeds"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def verdict(rates: list[float], accuracies: np.ndarray, epochs: int) -> str:
    """Returns in words what these accuracies, float [seeds, rates], say of the rates."""
    names = name_rates(rates)
    if len(rates) == 1:
        return f"There is no other rate to compare {names[0]} with."
    seeds = count(len(accuracies), "seed")
    run = f"{count(epochs, 'epoch')}, {seeds}"
    lines = [f"Compared with rate {names[0]}, by validation accuracy ({run}):"]
    mean, half_width = compare_with_first(100 * accuracies)
    best = mean.argmax()
    if len(accuracies) < 3:
        highest = f"rate {names[best]}, {mean[best]:.2f} percentage points higher"
        if best == 0:
            highest = f"rate {names[0]} itself"
        lines.append(f"  Highest is {highest}.")
        lines.append("  How much of a difference is chance, three seeds or more can tell (SEEDS).")
        return "\n".join(lines)

    better, not_told_apart, worse = judge_rates(mean, half_width)
    lines.append(f"  Better: {list_rates(rates, better) or 'none'}.")
    if better.any():
        gain = f"{mean[best]:.2f} percentage points at {names[best]}"
        low = mean[best] - half_width[best]
        high = mean[best] + half_width[best]
        lines.append(f"    Largest gain: {gain} (95 % interval {low:.2f} to {high:.2f}).")
    lines.append(f"  Not told apart: {list_rates(rates, not_told_apart) or 'none'}.")
    if not_told_apart.any():
        shown = f"{half_width[not_told_apart].max():.2f} points"
        lines.append(f"    With {seeds}, a difference above {shown} would have shown there.")
    lines.append(f"  Worse: {list_rates(rates, worse) or 'none'}.")
    return "\n".join(lines)


# Figures
MARKERS = "ov^sDP*X<>"
SCALES = {"accuracy": "logit", "loss": "log"}  # room for differences near 1, and near 0
ACCURACY_TICKS = [0.5, 0.7, 0.8, 0.9, 0.92, 0.94, 0.96, 0.97, 0.98, 0.99, 0.995, 0.999, 0.9999]
LOSS_TICKS = [0.02, 0.04, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3, 0.4, 0.6, 1, 2, 5, 10, 100]
TICKS = {"accuracy": ACCURACY_TICKS, "loss": LOSS_TICKS}
LOOKS = {"better": ("tab:blue", "^"), "not told apart": ("gray", "o"), "worse": ("tab:red", "v")}


def make_panels(title: str, x_label: str) -> tuple[Figure, list[Axes]]:
    """Returns a figure with a panel for each normalization; they share their vertical axis."""
    panels = len(NORMALIZATIONS)
    figure = Figure(figsize=(4 + 4 * panels, 5), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False)
    all_axes = list(figure.subplots(1, panels, sharey=True, squeeze=False)[0])
    for axes, normalization in zip(all_axes, NORMALIZATIONS):
        axes.set_title(f"{normalization or 'no'} normalization", fontsize="medium")
        axes.set_xlabel(x_label)
        axes.grid(alpha=0.3)
    return figure, all_axes


def draw_lines(
    title: str, measure: str, x_label: str, x: list[float], lines: dict[str, np.ndarray]
) -> Figure:
    """Draws accuracies or losses, as `measure` says, over x: a line for each entry.

    The entries are float [normalizations, seeds, x]. A line is the mean over the seeds, in a band
    of one standard deviation.
    """
    figure, all_axes = make_panels(title, x_label)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.93, len(lines)))
    all_means = []
    all_spreads = []
    for panel, axes in enumerate(all_axes):
        looks = zip(colours, itertools.cycle(MARKERS))
        for (label, results), (colour, marker) in zip(lines.items(), looks):
            values = results[panel]
            means = values.mean(axis=0)
            spread = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(len(means))
            axes.plot(x, means, color=colour, marker=marker, markersize=4, label=label)
            axes.fill_between(x, means - spread, means + spread, color=colour, alpha=0.15, lw=0)
            all_means.append(means)
            all_spreads.append(spread)
    first_axes = all_axes[0]  # the others share its vertical axis
    first_axes.set_ylabel(measure)
    stretch_axis(first_axes, measure, np.array(all_means), np.array(all_spreads))
    columns = math.ceil(len(lines) / 20)
    figure.legend(handles=first_axes.lines, loc="outside right center", ncols=columns)
    return figure


def stretch_axis(axes: Axes, measure: str, means: np.ndarray, spreads: np.ndarray) -> None:
    """Gives small differences room: between accuracies near 1, or between losses near 0.

    A logit axis cannot show 0 and 1, a logarithmic one nothing up to 0. Where a mean is there, the
    axis stays linear; where a band reaches there, it is shown half of the way.
    """
    finite = np.isfinite(means)  # the loss of a network that diverges is not
    means = means[finite]
    spreads = spreads[finite]
    if means.size == 0 or means.min() <= 0 or (measure == "accuracy" and means.max() >= 1):
        return
    lows = np.maximum(means - spreads, means / 2)
    highs = means + spreads
    if measure == "accuracy":
        highs = np.minimum(highs, (means + 1) / 2)
    low = lows.min()
    high = highs.max()
    axes.set_yscale(SCALES[measure], nonpositive="clip")
    scale = axes.yaxis.get_transform()
    bottom, top = scale.transform([low, high])
    margin = 0.05 * (top - bottom) + 0.005
    axes.set_ylim(scale.inverted().transform([bottom - margin, top + margin]))
    set_ticks(axes, TICKS[measure])


def set_ticks(axes: Axes, candidates: list[float]) -> None:
    """Labels those of the candidates that have room on a stretched vertical axis.

    Where these are under three, Matplotlib picks others.
    """
    scale = axes.yaxis.get_transform()
    bottom, top = scale.transform(axes.get_ylim())
    ticks = []
    last_place = -math.inf
    for tick, place in zip(candidates, scale.transform(candidates)):
        has_room = place - last_place > 0.04 * (top - bottom)
        if bottom <= place <= top and has_room:
            ticks.append(tick)
            last_place = place
    if len(ticks) >= 3:
        axes.yaxis.set_major_locator(FixedLocator(ticks))
    else:
        axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3))
    axes.yaxis.set_major_formatter("{x:.6g}")
    axes.yaxis.set_minor_locator(NullLocator())


def draw_epochs(title: str, measure: str, rates: list[float], values: np.ndarray) -> Figure:
    """Draws a line for each rate over the epochs: float [normalizations, seeds, rates, epochs]."""
    lines = {}
    for row, name in enumerate(name_rates(rates)):
        lines[f"rate {name}"] = values[:, :, row]
    figure = draw_lines(title, measure, "epoch", range(1, EPOCHS + 1), lines)
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_rates(title: str, rates: list[float], final: np.ndarray) -> Figure:
    """Draws what comes out over the rates: FINAL [normalizations, seeds, rates]."""
    lines = {
        "training, dropout on": final["accuracy"],
        "training, dropout off": final["accuracy_dropout_off"],
        "validation, dropout off": final["val_accuracy"],
    }
    return draw_lines(title, "accuracy", "dropout rate", rates, lines)


def draw_differences(title: str, rates: list[float], accuracies: np.ndarray) -> Figure:
    """Draws each rate's accuracy minus the first one's: float [normalizations, seeds, rates]."""
    first = f"rate {name_rates(rates)[0]}"
    figure, all_axes = make_panels(title, "dropout rate")
    for axes, values in zip(all_axes, accuracies):
        level = f"{first}: {100 * values[:, 0].mean():.2f} %"
        axes.set_title(f"{axes.get_title()}\n{level}", fontsize="medium")
    all_axes[0].set_ylabel(f"validation accuracy minus that of {first}\n(percentage points)")
    draw_comparisons(all_axes, rates, accuracies)
    figure.legend(*all_axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def draw_comparisons(all_axes: list[Axes], rates: list[float], accuracies: np.ndarray) -> None:
    """Fills panels that share their vertical axis: float [panels, seeds, rates].

    The axis has room for every gain, for losses up to three times as large, and for more than half
    of the rates. What lies further down is cut and written.
    """
    comparisons = np.array([compare_with_first(100 * values) for values in accuracies])
    means = comparisons[:, 0]
    half_widths = comparisons[:, 1]
    lengths = np.nan_to_num(half_widths, posinf=0)  # no interval, no bar
    highest = (means + lengths).max()
    ends = means - lengths
    middle = np.quantile(ends, 0.5, method="lower")
    lowest = max(ends.min(), min(-3 * highest, middle))
    margin = 0.06 * (highest - lowest) + 0.001
    all_axes[0].set_ylim(lowest - margin, highest + margin)
    for axes, mean, half_width in zip(all_axes, means, half_widths):
        draw_comparison(axes, np.array(rates), mean, half_width, lowest)


def draw_comparison(
    axes: Axes, rates: np.ndarray, mean: np.ndarray, half_width: np.ndarray, lowest: float
) -> None:
    """Fills a panel with what `compare_with_first` returns; below `lowest` it writes the number."""
    axes.plot(rates, np.zeros(len(rates)), color="black", lw=1)
    first = f"rate {name_rates(rates)[0]}"
    axes.plot(rates[0], 0, color="black", marker="s", linestyle="none", label=first)
    length = np.nan_to_num(half_width, posinf=0)
    is_far = mean < lowest
    for (label, (colour, marker)), chosen in zip(LOOKS.items(), judge_rates(mean, half_width)):
        near = chosen & ~is_far
        look = {"color": colour, "marker": marker, "linestyle": "none", "capsize": 3}
        axes.errorbar(rates[near], mean[near], length[near], label=label, **look)
        for row in np.flatnonzero(chosen & is_far):
            text = f"{mean[row]:.1f} →".replace("-", "−")  # turned, the arrow points down
            axes.text(rates[row], lowest, text, color=colour, rotation=270, ha="center")
    axes.xaxis.set_major_locator(MaxNLocator(10))


def as_image(figure: Figure) -> bytes:
    """Returns a figure in FIGURE_FORMAT, the same bytes at every run."""
    no_date = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    buffer = io.BytesIO()
    figure.savefig(buffer, format=FIGURE_FORMAT, metadata=no_date.get(FIGURE_FORMAT))
    return buffer.getvalue()


@matplotlib.style.context(["default", {"svg.hashsalt": "fixed"}])  # whatever the user's settings
def draw_figures(data_name: str, history: np.ndarray, final: np.ndarray) -> dict[str, bytes]:
    """Returns the figures by file name. The arrays are those that `empty_records` describes."""
    rates = sorted_rates()
    run = f"{data_name}, {count(EPOCHS, 'epoch')}, {count(len(SEEDS), 'seed')}"
    training = f"{run}: training accuracy, dropout on"
    validation = f"{run}: validation accuracy, dropout off"
    loss = f"{run}: validation loss, dropout off"
    last = f"{run}: accuracy after the last epoch"
    intervals = "95 % intervals, for all rates at once"
    if len(SEEDS) < 3:
        intervals = "no intervals: these take three seeds"
    difference = f"{run}: does dropout help?\n({intervals})"
    figures = {
        "accuracy": draw_epochs(training, "accuracy", rates, history["accuracy"]),
        "val_accuracy": draw_epochs(validation, "accuracy", rates, history["val_accuracy"]),
        "val_loss": draw_epochs(loss, "loss", rates, history["val_loss"]),
        "rates": draw_rates(last, rates, final),
        "difference": draw_differences(difference, rates, final["val_accuracy"]),
    }
    return {f"{kind}.{FIGURE_FORMAT}": as_image(figure) for kind, figure in figures.items()}


# Data
ARRAY_NAMES = ["x_train", "y_train", "x_test", "y_test"]
IMAGE_SETS = ["mnist", "fashion_mnist", "cifar10", "cifar100"]


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
    """Returns a name and DATASET, through Keras's cache, or drawn digits where it can't be had."""
    time_out = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds; Keras would wait for ever on a silent connection
    try:
        train, test = getattr(keras.datasets, DATASET).load_data()
        return DATASET, [*train, *test]
    except Exception as error:
        # No network: a bare Exception. A broken connection: OSError. A damaged file: ValueError.
        if type(error) not in (Exception, ValueError) and not isinstance(error, OSError):
            raise
        print(f"This is not {DATASET}, which could not be had ({error}).")
    finally:
        socket.setdefaulttimeout(time_out)
    print("Digits drawn from fonts stand in for it, with other numbers. For the real images start")
    print("the script once where there is a network, or name an .npz of them in DATA_FILE.")
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
        sys.exit(f"DATA_FILE is {path!r}; it may be an .npz file with {names}: {error}.")

    def require(fits: bool, allowed: str) -> None:
        if not fits:
            held = [f"{name} {a.dtype} {list(a.shape)}" for name, a in zip(ARRAY_NAMES, arrays)]
            sys.exit(f"DATA_FILE is {path!r}, with {', '.join(held)}; it may hold {allowed}.")

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


# Records and files
UNREADABLE = (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def sorted_rates() -> list[float]:
    """Returns DROPOUT_RATES in ascending order; all arrays of results are in this order."""
    return sorted(float(rate) for rate in DROPOUT_RATES)


def empty_records() -> list[np.ndarray]:
    """Returns room for the results of all sweeps, NaN where there is none yet.

    HISTORY [normalizations, seeds, rates, epochs] and FINAL [normalizations, seeds, rates].
    """
    shape = [len(NORMALIZATIONS), len(SEEDS), len(DROPOUT_RATES)]
    return [np.full([*shape, EPOCHS], np.nan, HISTORY), np.full(shape, np.nan, FINAL)]


def digest_run(arrays: list[np.ndarray]) -> str:
    """Returns a digest of all that the numbers depend on: script, constants, versions, data."""
    constants = {name: value for name, value in globals().items() if name.isupper()}
    versions = [tf.__version__, keras.__version__, np.__version__]
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(f"{constants} {versions}".encode())
    for array in arrays:
        digest.update(f"{array.shape}".encode())
        digest.update(array)
    return digest.hexdigest()


def read_records(path: Path, digest: str) -> list[np.ndarray]:
    """Returns what an interrupted run of the same digest has recorded, as `empty_records`."""
    if not path.exists():
        return empty_records()
    try:
        with np.load(path) as records:
            if records["digest"] == digest:
                recorded = [records["history"], records["final"]]
                print("Continues the interrupted run.", flush=True)
                return recorded
        reason = "had other constants, data or code"
    except UNREADABLE:
        reason = "left a damaged record"
    print(f"Starts afresh: the interrupted run {reason}.", flush=True)
    return empty_records()


def write_file(name: str, content: bytes) -> Path:
    """Writes a file to FIGURES_DIR, whole or not at all, and returns its path."""
    path = Path(os.path.expanduser(FIGURES_DIR), name)
    part = path.with_name(f".{name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(content)
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        place = f"FIGURES_DIR is {str(FIGURES_DIR)!r}, where {name} cannot be written ({error})"
        sys.exit(f"{place}; it may be a folder of yours on a disk with room.")
    return path


def as_csv(key_names: list[str], keys: list[Iterable], results: np.ndarray) -> bytes:
    """Returns CSV with a row for each combination of keys: HISTORY or FINAL [each key's values]."""
    lines = [",".join([*key_names, *results.dtype.names])]
    for key, row in zip(itertools.product(*keys), results.reshape(-1)):
        cells = [str(part) for part in key]
        for value in row:
            cells.append(f"{value:.6f}")
        lines.append(",".join(cells))
    return "\n".join([*lines, ""]).encode()


def write_results(data_name: str, history: np.ndarray, final: np.ndarray) -> None:
    """Prints, draws and writes what the records say, as `empty_records` describes them."""
    rates = sorted_rates()
    for normalization, results in zip(NORMALIZATIONS, final):
        print(f"\nAfter epoch {EPOCHS}, {normalization or 'no'} normalization, accuracy in %")
        print(final_table(rates, results))
        print(verdict(rates, results["val_accuracy"], EPOCHS))

    key_names = ["normalization", "seed", "dropout_rate"]
    normalizations = [normalization or "none" for normalization in NORMALIZATIONS]
    keys = [normalizations, SEEDS, rates]
    epochs = range(1, EPOCHS + 1)
    outputs = {
        "history.csv": as_csv([*key_names, "epoch"], [*keys, epochs], history),
        "final.csv": as_csv(key_names, keys, final),
        **draw_figures(data_name, history, final),
    }
    print()
    for kind, content in outputs.items():
        print(f"Wrote {write_file(f'network_dropout_{data_name}_{kind}', content)}")


# Checks
def check_constants() -> None:
    """Ends the run with a sentence about the first constant that holds what it may not."""

    def require(name: str, fits: bool, allowed: str) -> None:
        if not fits:
            sys.exit(f"{name} is {globals()[name]!r}; it may be {allowed}.")

    def is_whole(value: object, low: int) -> bool:
        return type(value) is int and value >= low

    def is_number(value: object) -> bool:
        return isinstance(value, (int, float)) and type(value) is not bool and math.isfinite(value)

    def is_list(values: object) -> bool:
        known = type(values) in (list, tuple, range) and len(values) > 0
        return known and all(values.count(value) == 1 for value in values)

    def is_path(value: object) -> bool:
        return isinstance(value, (str, Path)) and str(value) != "" and "\0" not in str(value)

    fits = is_list(DROPOUT_RATES) and all(is_number(r) and 0 <= r < 1 for r in DROPOUT_RATES)
    require("DROPOUT_RATES", fits, "a list of different numbers from 0 to below 1")
    known = list(NORMALIZATION_LAYERS)
    fits = is_list(NORMALIZATIONS) and all(each in known for each in NORMALIZATIONS)
    require("NORMALIZATIONS", fits, f"a list of one or more of {known}, each once")
    fits = is_list(SEEDS) and all(is_whole(seed, 0) and seed < 2**31 for seed in SEEDS)
    require("SEEDS", fits, "a list of different whole numbers from 0 to 2147483647")
    for name in ("EPOCHS", "BATCH_SIZE", "HIDDEN_UNITS"):
        require(name, is_whole(globals()[name], 1), "a whole number from 1")
    fits = isinstance(LEARNING_RATE, float) and 0 < LEARNING_RATE < math.inf
    require("LEARNING_RATE", fits, "a float above 0, such as 0.001")
    require("DATASET", DATASET in IMAGE_SETS, f"one of {IMAGE_SETS}")
    require(
        "DATA_FILE", DATA_FILE is None or is_path(DATA_FILE), "None or the path of an .npz file"
    )
    require("FIGURES_DIR", is_path(FIGURES_DIR), "the path of a folder")
    require("FIGURE_FORMAT", FIGURE_FORMAT in ["png", "svg", "pdf"], '"png", "svg" or "pdf"')


def check_keras() -> None:
    """Ends the run with a sentence where Keras is set so that other numbers would come out."""
    settings = {
        "backend": (keras.config.backend(), "tensorflow"),
        "floatx": (keras.config.floatx(), "float32"),
        "dtype policy": (keras.config.dtype_policy().name, "float32"),
        "epsilon": (keras.config.epsilon(), 1e-7),
        "image data format": (keras.config.image_data_format(), "channels_last"),
    }
    for name, (found, wanted) in settings.items():
        if found != wanted:
            sys.exit(f"Keras's {name} is {found!r}; it may be {wanted!r}.")


def check_network(network: keras.Model, pixels: int, classes: int) -> None:
    """Ends the run with a sentence where a network would train in another way than by `fit`."""

    def require(fits: bool, found: str, allowed: str) -> None:
        if not fits:
            sys.exit(f"build_network returns {found}; it may return {allowed}.")

    kind = type(network).__name__
    models = "a compiled keras.Sequential or keras.Model(inputs, outputs)"
    require(isinstance(network, keras.Model), repr(network), models)
    require(network.built, f"a {kind} without keras.Input", f"{models} with it")
    require(hasattr(network, "inputs"), f"a {kind}", models)
    functional = type(keras.Model(network.inputs, network.outputs))
    require(type(network) in (keras.Sequential, functional), f"a {kind}", models)
    require(network.compiled, "a network that is not compiled", models)
    fits = network.loss is not None and getattr(network.loss, "reduction", "mean") != "none"
    require(fits, "a network without a loss, or one for each image", "one whose loss is a number")

    sizes = [list(each.shape[1:]) for each in network.inputs]
    fits = len(sizes) == 1 and None not in sizes[0] and math.prod(sizes[0]) == pixels
    require(fits, f"a network with inputs of {sizes}", f"one with one input of {pixels} pixels")
    sizes = [list(each.shape[1:]) for each in network.outputs]
    fits = len(sizes) == 1 and len(sizes[0]) == 1 and sizes[0][0] >= classes
    require(fits, f"a network with outputs of {sizes}", f"one with one output of {classes} classes")

    settings = network.get_compile_config()
    metrics = [settings["metrics"], settings["weighted_metrics"]]
    fits = metrics in ([None, None], [["accuracy"], None])
    require(fits, f"a network compiled with metrics {metrics}", "one with none but accuracy")


# Main
def main() -> None:
    """Trains what the constants describe and is not on record yet, and writes what comes out."""
    check_constants()
    check_keras()
    with contextlib.suppress(RuntimeError):  # where a notebook has used TensorFlow before
        # The matrices are too small to split: let the networks share out the cores instead.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")  # it warns where each sweep rightly makes a new graph
    name, arrays = load_data()
    classes = int(arrays[1].max()) + 1
    trial = write_file(f".network_dropout_{name}.trial", bytes(1_000_000))  # is there room?
    trial.unlink(missing_ok=True)
    records = trial.with_suffix(".npz")
    digest = digest_run(arrays)
    history, final = read_records(records, digest)
    with tf.device("CPU"):  # TensorFlow gathers uint8 on no GPU, and would copy the images back
        data = [tf.constant(array) for array in arrays]
    del arrays  # they have been copied

    train_images, _, test_images, _ = data
    pixels = train_images.shape[1]
    print(f"{name}: {len(train_images)} training images, {len(test_images)} for validation")
    rates = sorted_rates()
    for i, normalization in enumerate(NORMALIZATIONS):
        network = build_network(normalization, rates[0], pixels, classes)
        check_network(network, pixels, classes)
        network.summary()
        for j, seed in enumerate(SEEDS):
            missing = np.isnan(final["val_accuracy"][:, :, 0])
            if missing[i, j]:
                sweep = Sweep(normalization, seed, rates, pixels, classes)
                history[i, j], final[i, j] = train_sweep(sweep, data, int(missing.sum()))
                buffer = io.BytesIO()
                np.savez(buffer, digest=digest, history=history, final=final)
                write_file(records.name, buffer.getvalue())
    write_results(name, history, final)
    records.unlink(missing_ok=True)  # nothing is left to continue


if __name__ == "__main__":
    main()
