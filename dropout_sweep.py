"""How does the dropout rate change what a small network learns?

Trains one multilayer perceptron on MNIST for each dropout rate from 0.0 to 0.9, all side by side,
and records the training and the validation accuracy of every epoch. Half a minute on two cores:

    python dropout_sweep.py

To try something else, change a constant below or `build_network`, and run it again. It writes
network_dropout_mnist_*.png and *.csv to figures/: the accuracies by epoch and after the last one.

The validation images are MNIST's test images, and the best rate is picked by them: its accuracy
there is a little higher than it would be on images that took no part in the choice.
"""

import contextlib
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
from collections.abc import Iterable, Iterator
from pathlib import Path

# The experiment
DROPOUT_RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]  # numbers from 0 to below 1
NORMALIZATIONS = ["layer"]  # any of "layer", "batch", None; each is swept and gets a panel
SEEDS = [0]  # whole numbers, such as range(5); plots show the mean and the spread over them
EPOCHS = 10  # passes over the training images; from 1
BATCH_SIZE = 128  # images in a training step; from 1
HIDDEN_UNITS = 100  # units of the hidden layer; from 1
LEARNING_RATE = 0.001  # step size of the optimizer; above 0

# Files; a relative path counts from the folder in which the script is started
DATA_FILE = None  # an .npz in the layout of Keras's mnist.npz; None: MNIST through Keras
FIGURES_DIR = "figures"  # the folder for all that the run writes; made where it is missing


@contextlib.contextmanager
def quick_and_quiet() -> Iterator[None]:
    """Shuts standard error, where TensorFlow writes as it starts, whatever its settings.

    Nothing of what is imported is garbage, so Python is kept from looking, which takes seconds.
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


os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever Keras's own settings say
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"  # errors alone
with quick_and_quiet():
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib import colormaps, get_data_path
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
    from tensorflow import Tensor


def check_constants() -> None:
    """Ends the run with a sentence about the first constant that holds what it may not."""

    def require(name: str, fits: bool, allowed: str) -> None:
        if not fits:
            sys.exit(f"{name} is {globals()[name]!r}; it may be {allowed}.")

    def whole(value: object, low: int = 1) -> bool:
        return type(value) is int and value >= low

    def number(value: object) -> bool:
        return isinstance(value, (int, float)) and type(value) is not bool and math.isfinite(value)

    def several(values: object) -> bool:
        known = type(values) in (list, tuple, range) and len(values) > 0
        return known and all(values.count(value) == 1 for value in values)

    def path(value: object) -> bool:
        return isinstance(value, (str, Path)) and str(value) != "" and "\0" not in str(value)

    fits = several(DROPOUT_RATES) and all(number(r) and 0 <= r < 1 for r in DROPOUT_RATES)
    require("DROPOUT_RATES", fits, "a list of different numbers from 0 to below 1")
    fits = several(NORMALIZATIONS) and all(n in ("layer", "batch", None) for n in NORMALIZATIONS)
    require("NORMALIZATIONS", fits, 'a list of one or more of "layer", "batch" and None, each once')
    fits = several(SEEDS) and all(whole(seed, 0) and seed < 2**31 for seed in SEEDS)
    require("SEEDS", fits, "a list of different whole numbers from 0 to 2147483647")
    for name in ("EPOCHS", "BATCH_SIZE", "HIDDEN_UNITS"):
        require(name, whole(globals()[name]), "a whole number from 1")
    require("LEARNING_RATE", number(LEARNING_RATE) and LEARNING_RATE > 0, "a number above 0")
    require("DATA_FILE", DATA_FILE is None or path(DATA_FILE), "None or the path of an .npz file")
    require("FIGURES_DIR", path(FIGURES_DIR), "the path of a folder")


# Data
def read_data_file() -> list[np.ndarray]:
    """Returns x_train, y_train, x_test, y_test of DATA_FILE, or ends the run with a sentence."""
    path, names = os.path.expanduser(DATA_FILE), ["x_train", "y_train", "x_test", "y_test"]
    try:
        zipfile.ZipFile(path).close()  # NumPy would take what is no archive for a pickle
        with np.load(path) as archive:
            arrays = [np.asarray(archive[name]) for name in names]
    except (OSError, ValueError, KeyError, EOFError, RuntimeError, zipfile.error, zlib.error) as e:
        sys.exit(f"DATA_FILE is {path!r}; it may be an .npz file with {', '.join(names)}: {e}.")

    def require(fits: bool, allowed: str) -> None:
        if not fits:
            held = [f"{name} {a.dtype} {list(a.shape)}" for name, a in zip(names, arrays)]
            sys.exit(f"DATA_FILE is {path!r}, with {', '.join(held)}; it may hold {allowed}.")

    x_train, y_train, x_test, y_test = arrays
    require(all(a.dtype.kind in "iu" and a.size for a in arrays), "whole numbers, some in each")
    require(x_train.ndim > 1 and x_train.shape[1:] == x_test.shape[1:], "images of one size")
    for images, labels in ((x_train, y_train), (x_test, y_test)):
        require(images.min() >= 0 and images.max() <= 255, "pixels from 0 to 255")
        require(labels.size == len(images), "one label for each image")
        fits = 0 <= labels.min() and labels.max() <= min(y_train.max(), 65535)
        require(fits, "labels from 0 to 65535, in y_test none above those in y_train")
    return arrays


def draw_digits(train_size: int = 60_000, test_size: int = 10_000) -> list[np.ndarray]:
    """Returns a stand-in for MNIST, in the order of `read_data_file`, the same at every call.

    Digits in the fonts that Matplotlib carries, turned, shifted and noisy: uint8 [images, 28, 28].
    """
    random, drawn = np.random.default_rng(0), 300  # of each digit; the first 250 are for training
    fonts = sorted(Path(get_data_path(), "fonts", "ttf").glob("DejaVuS*[!y].ttf"))  # no Display
    sheet = Figure(figsize=(10, drawn), dpi=28, facecolor="black")  # 28 x 28 pixels a digit
    for row, digit in itertools.product(range(drawn), range(10)):
        x, y = (digit + random.normal(0.5, 0.06)) / 10, 1 - (row + random.normal(0.5, 0.06)) / drawn
        look = {"font": random.choice(fonts), "fontsize": random.uniform(45, 65), "color": "white"}
        sheet.text(x, y, digit, rotation=random.normal(0, 12), ha="center", va="center", **look)
    raw = io.BytesIO()
    sheet.savefig(raw, format="rgba")
    digits = np.frombuffer(raw.getvalue(), np.uint8)[::4].reshape(drawn, 28, 10, 28).swapaxes(1, 2)

    arrays = []
    for size, first, end in ((train_size, 0, 250), (test_size, 250, drawn)):
        labels = random.integers(10, size=size)
        noise = random.integers(100, size=(size, 28, 28), dtype=np.uint8)
        images = digits[random.integers(first, end, size=size), labels]
        arrays += [np.maximum(images, noise), labels]
    return arrays


def load_mnist() -> tuple[str, list[np.ndarray]]:
    """Returns a name and MNIST, through Keras's cache, or drawn digits where it can't be had."""
    socket.setdefaulttimeout(30)  # seconds; Keras would wait for ever on a silent connection
    try:
        return "mnist", [*itertools.chain(*keras.datasets.mnist.load_data())]
    except Exception as error:
        # No network: a bare Exception. A broken connection: OSError. A damaged file: ValueError.
        if type(error) not in (Exception, ValueError) and not isinstance(error, OSError):
            raise
        print(f"This is not MNIST, which could not be had ({error}).")
    print("Digits drawn from fonts stand in for it, with other numbers. For the real ones fetch")
    print("mnist.npz where there is a network, and name it in DATA_FILE, at the top of the script.")
    return "drawn_digits", draw_digits()


def load_data() -> tuple[str, list[np.ndarray]]:
    """Returns a name and four arrays as above, uint8 [images, pixels] and int64 [images]."""
    name, arrays = (Path(DATA_FILE).stem, read_data_file()) if DATA_FILE else load_mnist()
    images = [array.reshape(len(array), -1).astype(np.uint8, copy=False) for array in arrays[::2]]
    labels = [array.reshape(-1).astype(np.int64) for array in arrays[1::2]]
    return name, [images[0], labels[0], images[1], labels[1]]


# Network
class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's layer normalization at its defaults, with the scale and the offset applied last.

    What comes before them is then the same for all networks, and TensorFlow computes it once.
    """

    def __init__(self) -> None:
        super().__init__()  # with other settings, take keras.layers.LayerNormalization

    def call(self, inputs: Tensor) -> Tensor:
        mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
        standardized = (inputs - mean) * tf.math.rsqrt(variance + self.epsilon)
        return standardized * self.gamma + self.beta


def build_network(normalization: str | None, rate: float, pixels: int, classes: int) -> keras.Model:
    """Returns an untrained network: float32 [images, pixels] from 0 to 1 -> [images, classes]."""
    layers = {"layer": LayerNormalization, "batch": keras.layers.BatchNormalization}
    return keras.Sequential(
        [
            keras.Input([pixels]),
            layers.get(normalization, keras.layers.Identity)(),
            keras.layers.Dropout(rate),
            keras.layers.Dense(HIDDEN_UNITS, activation="tanh"),
            keras.layers.Dense(classes, activation="softmax"),
        ]
    )


class Adam(keras.optimizers.Adam):
    """Keras's Adam, with one fused operation for each variable where Keras takes a dozen."""

    def apply(self, grads: list, trainable_variables: list | None = None) -> None:
        step = tf.cast(self.iterations + 1, tf.float32)
        self.powers = self.beta_1**step, self.beta_2**step
        super().apply(grads, trainable_variables)

    def update_step(self, gradient: Tensor, variable: tf.Variable, learning_rate: Tensor) -> None:
        if self.amsgrad:  # for which there is no such operation
            return super().update_step(gradient, variable, learning_rate)
        index = self._get_variable_index(variable)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.cast(self.powers[0], variable.dtype),
            beta2_power=tf.cast(self.powers[1], variable.dtype),
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def build_optimizer() -> keras.optimizers.Optimizer:
    """Returns the optimizer of one network."""
    return Adam(float(LEARNING_RATE))  # or any other of Keras's, such as keras.optimizers.SGD(0.1)


# Training
class Sweep:
    """One network for each rate, all trained side by side in one TensorFlow graph.

    They share the batches and nothing else. So each comes out exactly as it would alone, while
    TensorFlow spreads them over the cores, and computes once what is the same for several.
    """

    def __init__(self, normalization: str | None, seed: int, rates: list, sizes: tuple) -> None:
        self.seed, self.steps = seed, tf.Variable(0, dtype=tf.int64)
        self.networks = []
        for rate in rates:
            keras.utils.set_random_seed(seed)  # all rates start from the same weights
            network = build_network(normalization, rate, *sizes)
            if not network.built:
                sys.exit("build_network has no keras.Input; it may return any network that has.")
            if rate == 0:  # then Keras draws no seed for Dropout, and others for what comes after
                keras.utils.set_random_seed(seed)
                twin = build_network(normalization, 1e-9, *sizes)
                network.set_weights(twin.get_weights())
            self.networks.append(network)
        self.optimizers = [build_optimizer() for network in self.networks]
        for network, optimizer in zip(self.networks, self.optimizers):
            optimizer.build(network.trainable_variables)

    def predict(self, network: keras.Model, images: Tensor, step: Tensor) -> Tensor:
        """Returns what a network predicts in training, float [batch, classes].

        In a plain Dropout the random numbers depend on seed, step and place alone: what is dropped
        at rate 0.2 is dropped at 0.3 too, so the rates are compared on the same luck. All else,
        and as a whole a model that is no Sequential, goes Keras's own way.
        """
        layers = network.layers if type(network) is keras.Sequential else [network]
        outputs = images
        for place, layer in enumerate(layers):
            plain = type(layer) is keras.layers.Dropout and not hasattr(outputs, "_keras_mask")
            if plain and 0 < layer.rate < 1 and layer.seed is None and layer.noise_shape is None:
                shape = [tf.shape(images)[0], *outputs.shape[1:]]
                noise = tf.random.stateless_uniform(shape, [self.seed, step * len(layers) + place])
                outputs *= tf.cast(noise >= layer.rate, outputs.dtype) / (1 - layer.rate)
            else:
                outputs = layer(outputs, training=True)
        return outputs

    @tf.autograph.experimental.do_not_convert  # as in Keras's fit; tracing takes half the time
    def train(self, images: Tensor, labels: Tensor) -> list[Tensor]:
        """Takes a step with every network, and returns what each predicted before."""
        step = tf.identity(self.steps.assign_add(1))  # read once, so that noise is drawn once
        all_predictions = []
        for network, optimizer in zip(self.networks, self.optimizers):
            with tf.GradientTape() as tape:
                predictions = self.predict(network, images, step)
                losses = keras.losses.sparse_categorical_crossentropy(labels, predictions)
                loss = optimizer.scale_loss(tf.reduce_mean(losses) + sum(network.losses))
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply(gradients, network.trainable_variables)
            all_predictions.append(predictions)
        return all_predictions

    @tf.function
    def accuracy(self, images: Tensor, labels: Tensor, order: Tensor, training: bool) -> Tensor:
        """Returns what part of the images each network gets right, float64 [rates].

        Goes through them in this order, batch by batch, and trains on each batch if `training`.
        """
        correct = tf.zeros([len(self.networks)], tf.int64)
        for start in tf.range(0, tf.size(order, tf.int64), BATCH_SIZE):
            batch = order[start : start + BATCH_SIZE]
            batch_images = tf.cast(tf.gather(images, batch), tf.float32) / 255
            batch_labels = tf.gather(labels, batch)
            if training:
                predictions = self.train(batch_images, batch_labels)
            else:
                predictions = [network(batch_images, training=False) for network in self.networks]
            right = tf.argmax(tf.stack(predictions), axis=-1) == batch_labels
            correct += tf.math.count_nonzero(right, axis=-1)
        return correct / tf.size(order, tf.int64)


def train_sweep(sweep: Sweep, data: list[Tensor], sweeps_left: int) -> list[np.ndarray]:
    """Trains a sweep and prints a row an epoch. Returns what `read_records` tells of one sweep."""
    train_images, train_labels, test_images, test_labels = data
    size, test_order = len(train_images), np.arange(len(test_images))
    history, started = [], time.monotonic()
    for epoch in range(1, EPOCHS + 1):
        epoch_started = time.monotonic()
        order = np.random.default_rng([sweep.seed, epoch]).permutation(size)
        training = sweep.accuracy(train_images, train_labels, order, True)
        validation = sweep.accuracy(test_images, test_labels, test_order, False)
        history.append(np.stack([training, validation], axis=-1))
        seconds = time.monotonic() - epoch_started
        left = (time.monotonic() - started) / epoch * (sweeps_left * EPOCHS - epoch) / 60
        cells = "".join(f"{accuracy:>7.4f}" for accuracy in validation.numpy())
        print(f"{epoch:>5} {cells} {seconds:>8.1f} {left:>6.1f} min", flush=True)
    dropout_off = sweep.accuracy(train_images, train_labels, np.arange(size), False)
    return [np.stack(history, axis=1), dropout_off.numpy()]


# Results
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


def digest_run(arrays: list[np.ndarray]) -> str:
    """Returns a digest of all that the numbers depend on: script, constants, versions, data."""
    constants = {name: value for name, value in globals().items() if name.isupper()}
    settings = f"{constants} {tf.__version__} {keras.__version__}".encode()
    return hashlib.sha256(b"".join([Path(__file__).read_bytes(), settings, *arrays])).hexdigest()


def read_records(path: Path, digest: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns what an interrupted run of the same digest has recorded, and NaN for what it has not.

    history: training and validation accuracy, float [normalizations, seeds, rates, epochs, 2].
    dropout_off: training accuracy at the end, dropout off, float [normalizations, seeds, rates].
    """
    if path.exists():
        with np.load(path) as records:
            if records["digest"] == digest:
                print("Continues the interrupted run.", flush=True)
                return records["history"], records["dropout_off"]
        print("Starts afresh: the interrupted run had other constants, data or code.", flush=True)
    shape = (len(NORMALIZATIONS), len(SEEDS), len(DROPOUT_RATES))
    return np.full([*shape, EPOCHS, 2], np.nan), np.full(shape, np.nan)


def as_csv(header: str, keys: list[Iterable], accuracies: np.ndarray) -> bytes:
    """Returns CSV with a row for each combination of keys, and float [..., columns] behind it."""
    lines = [header]
    for key, row in zip(itertools.product(*keys), accuracies.reshape(-1, accuracies.shape[-1])):
        lines.append(",".join([*map(str, key), *[f"{accuracy:.6f}" for accuracy in row]]))
    return "\n".join([*lines, ""]).encode()


def final_table(rates: list[float], final: np.ndarray) -> str:
    """Returns a table of accuracies, float [seeds, rates, 3]: mean (standard deviation)."""
    columns = np.concatenate([final, final[..., 1:2] - final[..., 2:]], axis=-1)
    heads = ["training", "dropout off", "validation", "gap"]
    lines = [" rate" + "".join(f"{head:>17}" for head in heads)]
    for rate, values in zip(rates, np.moveaxis(columns, 1, 0)):
        cells = [f"{mean:.4f}" for mean in values.mean(axis=0)]
        if len(final) > 1:
            cells = [f"{c} ({spread:.4f})" for c, spread in zip(cells, values.std(axis=0, ddof=1))]
        lines.append(f"{round(rate, 4):>5}" + "".join(f"{cell:>17}" for cell in cells))
    return "\n".join(lines)


def lag(validation: np.ndarray) -> np.ndarray:
    """Returns how many standard errors each rate lies behind the one of the highest mean.

    Float [..., seeds, rates] -> [..., rates]. The rates of a seed share weights, batches and
    dropped units, so they are compared seed by seed.
    """
    best = validation.mean(axis=-2, keepdims=True).argmax(axis=-1, keepdims=True)
    difference = np.take_along_axis(validation, best, axis=-1) - validation
    error = difference.std(axis=-2, ddof=1) / validation.shape[-2] ** 0.5
    return difference.mean(axis=-2) / np.maximum(error, 1e-9)  # the best one has no error


@functools.cache
def lag_by_chance(seeds: int, rates: int) -> float:
    """Returns what the largest lag of all stays below in 95 % of simulated sweeps, rates equal."""
    equal = np.random.default_rng(0).standard_normal([5_000, seeds, rates], dtype=np.float32)
    return np.quantile(lag(equal).max(axis=-1), 0.95)


def worse_than_best(validation: np.ndarray) -> np.ndarray:
    """Returns which rates are worse than that of the highest mean, float [seeds, rates] -> bool.

    Where all rates are equal, some rate is called worse in about 5 % of sweeps, whichever comes out
    best. Under three seeds none is: two differences are too often the same by rounding alone.
    """
    seeds, rates = validation.shape
    return lag(validation) > lag_by_chance(seeds, rates) if seeds > 2 else np.zeros(rates, bool)


def name_rates(rates: list[float], chosen: np.ndarray) -> str:
    """Returns the chosen rates, bool [rates], in words; neighbours make a range."""
    edges = np.diff([0, *chosen, 0])  # 1 where a range begins, -1 after its end
    ranges = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1)
    names = [[str(round(rates[row], 4)) for row in sorted({first, last})] for first, last in ranges]
    return ", ".join(" to ".join(ends) for ends in names)


def verdict(rates: list[float], validation: np.ndarray) -> str:
    """Returns in words what the validation accuracies, float [seeds, rates], say of the rates."""
    mean, worse = validation.mean(axis=0), worse_than_best(validation)
    highest = f"Highest validation accuracy: {name_rates(rates, mean == mean.max())}."
    if len(rates) == 1:
        return highest
    if len(validation) < 3:
        return f"{highest} It takes three seeds or more to tell that from chance."
    if not worse.any():
        return f"{highest} No other rate is worse by more than chance."
    told = f"Worse, with a family-wise error of 5 %: {name_rates(rates, worse)}."
    return f"{highest}\n{told}\nWithin chance of the highest: {name_rates(rates, ~worse)}."


# Figures
def draw(title: str, xlabel: str, x: list, labels: list[str], accuracies: np.ndarray) -> Figure:
    """Draws a line for each label over x, in a panel for each normalization.

    accuracies: float [normalizations, seeds, labels, x]. A line is the mean over the seeds, in a
    band of one standard deviation. The axis is a logit one, which gives accuracies near 1 the
    room that their differences need, but cannot show 0 and 1.
    """
    figure = Figure(figsize=(4 + 4 * len(accuracies), 5), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False)
    figure.subplots(1, len(accuracies), sharey=True, squeeze=False)
    colours = colormaps["viridis"](np.linspace(0, 0.93, len(labels)))
    means, spreads = accuracies.mean(axis=1), accuracies.std(axis=1, ddof=len(SEEDS) > 1)
    for panel, axes in enumerate(figure.axes):
        axes.set_title(f"{NORMALIZATIONS[panel] or 'no'} normalization", fontsize="medium")
        axes.set_xlabel(xlabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=xlabel == "epoch"))
        axes.grid(alpha=0.3)
        for row, (label, colour) in enumerate(zip(labels, colours)):
            mean, spread = means[panel, row], spreads[panel, row]
            axes.plot(x, mean, f"{'ov^sDP*X<>'[row % 10]}-", color=colour, ms=4, label=label)
            axes.fill_between(x, mean - spread, mean + spread, color=colour, alpha=0.15, lw=0)
    ticks = [0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.96, 0.97, 0.98, 0.985, 0.99, 0.995, 0.998]
    axes = figure.axes[0]  # the others share its vertical axis
    axes.set_ylabel("accuracy")
    if 0 < means.min() and means.max() < 1:
        few = sum(means.min() <= tick <= means.max() for tick in ticks) < 3
        axes.set_yscale("logit")
        axes.yaxis.set_major_locator(MaxNLocator(5, min_n_ticks=3) if few else FixedLocator(ticks))
        axes.yaxis.set_major_formatter("{x:.6g}")
        axes.yaxis.set_minor_locator(NullLocator())
    figure.legend(handles=axes.lines, loc="outside right center", ncols=math.ceil(len(labels) / 20))
    return figure


def write_results(name: str, history: np.ndarray, dropout_off: np.ndarray) -> None:
    """Prints and draws what the records say, as `read_records` describes them, and writes it."""
    rates, epochs = sorted(map(float, DROPOUT_RATES)), range(1, EPOCHS + 1)
    training, validation = history[..., 0], history[..., 1]
    final = np.stack([training[..., -1], dropout_off, validation[..., -1]], axis=-1)
    for normalization, values in zip(NORMALIZATIONS, final):
        print(f"\nAfter {EPOCHS} epochs, {normalization or 'no'} normalization")
        print(f"{final_table(rates, values)}\n{verdict(rates, values[..., 2])}")
    labels = [f"rate {round(rate, 4)}" for rate in rates]
    kinds = ["validation, dropout off", "training, dropout off", "training, dropout on"]
    ends = final.swapaxes(2, 3)[:, :, ::-1]
    figures = {
        "accuracy.png": (f"{name}: {kinds[2]}", "epoch", epochs, labels, training),
        "val_accuracy.png": (f"{name}: {kinds[0]}", "epoch", epochs, labels, validation),
        "rates.png": (f"{name}: after the last epoch", "dropout rate", rates, kinds, ends),
    }
    keys = [normalization or "none" for normalization in NORMALIZATIONS], SEEDS, rates
    head = "normalization,seed,dropout_rate"
    outputs = {
        "history.csv": as_csv(f"{head},epoch,accuracy,val_accuracy", [*keys, epochs], history),
        "final.csv": as_csv(f"{head},accuracy,accuracy_dropout_off,val_accuracy", keys, final),
    }
    for kind, drawing in figures.items():
        buffer = io.BytesIO()
        draw(*drawing).savefig(buffer, format="png")
        outputs[kind] = buffer.getvalue()
    print()
    for kind, content in outputs.items():
        print(f"Wrote {write_file(f'network_dropout_{name}_{kind}', content)}")


# Main
def main() -> None:
    """Trains what the constants describe and is not on record yet, and writes what comes out."""
    check_constants()
    with contextlib.suppress(RuntimeError):  # where a notebook has used TensorFlow before
        # The matrices are too small to split: let the networks share out the cores instead.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.get_logger().setLevel("ERROR")  # it warns where each sweep rightly makes a new graph
    name, arrays = load_data()
    trial = write_file(f".network_dropout_{name}.trial", bytes(1_000_000))  # is there room?
    trial.unlink(missing_ok=True)
    records = trial.with_suffix(".npz")
    rates = sorted(map(float, DROPOUT_RATES))
    digest = digest_run(arrays)
    history, dropout_off = read_records(records, digest)
    with tf.device("CPU"):  # TensorFlow gathers uint8 on no GPU, and would copy the images back
        data = [tf.constant(array) for array in arrays]
    sizes = arrays[0].shape[1], int(arrays[1].max()) + 1
    print(f"{name}: {len(arrays[0])} training images, {len(arrays[2])} for validation")
    for i, normalization in enumerate(NORMALIZATIONS):
        build_network(normalization, rates[0], *sizes).summary()
        for j, seed in enumerate(SEEDS):
            sweeps_left = int(np.isnan(dropout_off[..., 0]).sum())
            if np.isnan(dropout_off[i, j, 0]):
                print(f"\nValidation accuracy, {normalization or 'no'} normalization, seed {seed}")
                heads = "".join(f"{round(rate, 4):>7}" for rate in rates)
                print(f"epoch {heads}  seconds      left")
                sweep = Sweep(normalization, seed, rates, sizes)
                history[i, j], dropout_off[i, j] = train_sweep(sweep, data, sweeps_left)
                buffer = io.BytesIO()
                np.savez(buffer, digest=digest, history=history, dropout_off=dropout_off)
                write_file(records.name, buffer.getvalue())
    write_results(name, history, dropout_off)
    records.unlink(missing_ok=True)  # nothing is left to continue


if __name__ == "__main__":
    main()
