"""How does the dropout rate change what a small network learns?

Trains one multilayer perceptron on MNIST for each dropout rate from 0.0 to 0.9, all side by side,
and records the training and the validation accuracy of every epoch. Run it with

    python dropout_sweep.py

and to try something else, change a constant below and run it again. It writes to FIGURES_DIR:

    network_dropout_mnist_accuracy.png      training accuracy by epoch, a line for each rate
    network_dropout_mnist_val_accuracy.png  validation accuracy by epoch, a line for each rate
    network_dropout_mnist_rates.png         both after the last epoch, by rate
    network_dropout_mnist_history.csv       the numbers behind the first two
    network_dropout_mnist_final.csv         the numbers behind the third

A run that was interrupted goes on after its last whole epoch when the script is started again.

Srivastava et al., "Dropout: A Simple Way to Prevent Neural Networks from Overfitting", JMLR 2014
Ioffe and Szegedy, "Batch Normalization", arXiv 1502.03167
Ba, Kiros and Hinton, "Layer Normalization", arXiv 1607.06450
"""

# /// script
# requires-python = ">=3.10,<3.14"
# dependencies = ["tensorflow>=2.16,<2.22", "numpy>=1.26,<3", "matplotlib>=3.8,<4"]
# ///

import contextlib
import csv
import gc
import hashlib
import io
import itertools
import json
import math
import os
import shutil
import signal
import socket
import sqlite3
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Lets Keras be imported with TensorFlow as its backend, in silence, and leaves no trace.

    Keras reads its backend from the environment, or from a keras.json that may name another one.
    TensorFlow writes to the error stream before its log level counts, so the stream is shut.
    Looking for garbage while everything that is made stays would take half a second.
    """
    environment, error_stream, collecting = dict(os.environ), os.dup(2), gc.isenabled()
    os.environ.update(KERAS_BACKEND="tensorflow", TF_CPP_MIN_LOG_LEVEL="3")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    gc.disable()
    try:
        yield
    except SystemExit:
        os.write(error_stream, b"Stopped before training started.\n")
        raise
    finally:
        os.dup2(error_stream, 2)
        os.close(error_stream)
        os.environ.clear()
        os.environ.update(environment)
        if collecting:
            gc.enable()


def stop(signal_number: int, frame: object) -> None:
    """Ends the process in good order on Ctrl-C or SIGTERM, with the status that shells expect."""
    sys.exit(128 + signal_number)


if __name__ == "__main__":  # before the imports that take seconds
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


with quiet_imports():
    import keras
    import numpy as np
    import tensorflow as tf
    from matplotlib import colormaps, get_data_path
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

# The experiment
DROPOUT_RATES = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]  # from 0.0 to below 1.0
NORMALIZATIONS = ["layer"]  # any of "layer", "batch", None; each is swept and gets a panel
SEEDS = [0]  # whole numbers from 0; each is swept, and plots show the mean and the spread
EPOCHS = 10  # passes over the training images; from 1
BATCH_SIZE = 128  # images in a training step; from 1
HIDDEN_UNITS = 100  # units of the hidden layer; from 1
LEARNING_RATE = 0.001  # step size of Adam; above 0

# Input and output; a relative path counts from the folder in which the script is started
DATA_FILE = None  # path of an .npz in the layout of Keras's mnist.npz; None: MNIST through Keras
FIGURES_DIR = "figures"  # folder for all that the run writes; made where it is missing


class UserError(Exception):
    """Something that the person at the keyboard can put right; the message says what."""


# ---------------------------------------------------------------------------------- constants


def check_constants(constants: dict) -> None:
    """Raises UserError for the first of the constants that cannot work.

    `constants` maps the names of the constants above to their values.
    """

    def whole(value, low: int, high: float = math.inf) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value < high

    def number(value) -> bool:
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    def path(value) -> bool:
        return isinstance(value, (str, Path)) and str(value) != "" and "\0" not in str(value)

    def several(values, fits: Callable) -> bool:
        fine = isinstance(values, (list, tuple)) and len(values) > 0 and all(map(fits, values))
        return fine and len(set(values)) == len(values)

    rules = {
        "DROPOUT_RATES": (
            lambda values: several(values, lambda value: number(value) and 0 <= value < 1),
            "a list of different numbers from 0 up to but not including 1, such as [0.0, 0.5]",
        ),
        "NORMALIZATIONS": (
            lambda values: several(values, lambda value: value in ("layer", "batch", None)),
            'a list of one or more of "layer", "batch" and None, each once',
        ),
        "SEEDS": (
            lambda values: several(values, lambda value: whole(value, 0, 2**31)),
            "a list of different whole numbers from 0 to 2147483647, such as [0, 1, 2]",
        ),
        "EPOCHS": (lambda value: whole(value, 1), "a whole number from 1"),
        "BATCH_SIZE": (lambda value: whole(value, 1), "a whole number from 1"),
        "HIDDEN_UNITS": (lambda value: whole(value, 1), "a whole number from 1"),
        "LEARNING_RATE": (
            lambda value: number(value) and 0 < value < math.inf,
            "a number above 0, such as 0.001",
        ),
        "DATA_FILE": (
            lambda value: value is None or path(value),
            'None or the path of an .npz file, such as "mnist.npz"',
        ),
        "FIGURES_DIR": (path, 'the path of a folder, such as "figures"'),
    }
    for name, (fits, allowed) in rules.items():
        if not fits(constants[name]):
            raise UserError(f"{name} is {constants[name]!r}; it may be {allowed}.")


# --------------------------------------------------------------------------------------- data


class Data(NamedTuple):
    """A data set: images uint8 [images, pixels], labels int64 [images] from 0 to classes - 1."""

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: int


def read_archive(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the four arrays of an .npz in the layout of Keras's mnist.npz, without pickles.

    Returns x_train and x_test, uint8 [images, ...], and y_train and y_test, int64 [images]. Raises
    UserError where the file cannot be read or does not hold images and labels that belong together.
    """

    def require(condition: bool, problem: str) -> None:
        if not condition:
            raise UserError(
                f"DATA_FILE is {str(path)!r}: {problem}; it may be an .npz file with the uint8 "
                "images x_train and x_test and their whole-number labels y_train and y_test."
            )

    try:
        with open(path, "rb") as file:
            require(zipfile.is_zipfile(file), "not a whole .npz archive")
            file.seek(0)
            with np.load(file, allow_pickle=False) as archive:
                names = ("x_train", "y_train", "x_test", "y_test")
                missing = [name for name in names if name not in archive]
                require(not missing, f"no array named {', '.join(missing)}")
                arrays = {name: np.asarray(archive[name]) for name in names}
    except OSError as error:
        require(False, error.strerror or str(error))
    except (ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        require(False, f"damaged, or not such an archive ({error})")

    for part in ("train", "test"):
        images, labels = arrays[f"x_{part}"], arrays[f"y_{part}"]
        require(images.dtype.kind in "iu", f"x_{part} holds {images.dtype}, not whole numbers")
        require(labels.dtype.kind in "iu", f"y_{part} holds {labels.dtype}, not whole numbers")
        require(images.ndim > 1 and images.size > 0, f"x_{part} holds no images")
        require(images.min() >= 0 and images.max() <= 255, f"x_{part} holds pixels outside 0-255")
        require(labels.shape == (len(images),), f"x_{part} and y_{part} differ in length")
        require(labels.min() >= 0, f"y_{part} holds negative labels")
        require(
            labels.max() <= arrays["y_train"].max(), "y_test holds labels that y_train does not"
        )
        arrays[f"x_{part}"] = images.astype(np.uint8, copy=False)
    require(
        arrays["x_train"].shape[1:] == arrays["x_test"].shape[1:],
        "x_train and x_test hold images of different sizes",
    )
    require(arrays["y_train"].max() < 65_536, "y_train names more than 65,536 classes")
    return {name: a.astype(np.int64) if name[0] == "y" else a for name, a in arrays.items()}


def download_mnist() -> dict[str, np.ndarray]:
    """Returns MNIST, through Keras's cache, as the arrays that `read_archive` returns.

    Raises OSError with the reason where there is neither the cached file nor a way to download it.
    """
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(30)  # seconds; Keras would wait for ever on a silent connection
    try:
        with contextlib.redirect_stdout(sys.stderr):  # where Keras's progress bar belongs
            (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    except Exception as error:
        # No network: a bare Exception. A broken connection: OSError. A damaged file: ValueError.
        if type(error) is Exception or isinstance(error, (OSError, ValueError)):
            raise OSError(str(error)) from error
        raise
    finally:
        socket.setdefaulttimeout(timeout)
    labels = {"y_train": y_train.astype(np.int64), "y_test": y_test.astype(np.int64)}
    return {"x_train": x_train, "x_test": x_test} | labels


def draw_digits(train_size: int = 60_000, test_size: int = 10_000) -> dict[str, np.ndarray]:
    """Draws a stand-in for MNIST: distorted digits from the fonts that Matplotlib carries.

    Returns the arrays that `read_archive` returns, images uint8 [images, 28, 28], the same at
    every call. Keras's layers distort them: two rotations with a stretch in between also shear.
    """
    fonts = sorted(Path(get_data_path(), "fonts", "ttf").glob("DejaVuS*.ttf"))
    fonts = [font for font in fonts if "Display" not in font.name]  # which has few digits
    sheet = Figure(figsize=(10, len(fonts)), dpi=28, facecolor="black")  # 28 x 28 pixels a digit
    for row, font in enumerate(fonts):
        for digit in range(10):
            position = ((digit + 0.5) / 10, 1 - (row + 0.5) / len(fonts))
            style = {"font": font, "fontsize": 62, "color": "white"}
            sheet.text(*position, str(digit), ha="center", va="center", **style)
    canvas = FigureCanvasAgg(sheet)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., 0]
    glyphs = pixels.reshape(len(fonts), 28, 10, 28).swapaxes(1, 2)

    random = np.random.default_rng(0)
    size = train_size + test_size
    labels = random.integers(10, size=size)
    images = glyphs[random.integers(len(fonts), size=size), labels]
    fill = {"fill_mode": "constant", "fill_value": 0.0}
    distort = [
        keras.layers.RandomRotation(0.07, seed=1, **fill),
        keras.layers.RandomZoom((-0.1, 0.3), (-0.1, 0.3), seed=2, **fill),
        keras.layers.RandomRotation(0.03, seed=3, **fill),
        keras.layers.RandomTranslation(0.12, 0.12, seed=4, **fill),
    ]
    for start in range(0, size, 5_000):
        part = tf.constant(images[start : start + 5_000, ..., None], tf.float32)
        for layer in distort:
            part = layer(part, training=True)
        noise = random.normal(scale=45, size=part.shape)
        images[start : start + 5_000] = np.clip(part + noise, 0, 255)[..., 0]
    return {
        "x_train": images[:train_size],
        "y_train": labels[:train_size],
        "x_test": images[train_size:],
        "y_test": labels[train_size:],
    }


def load_data(data_file: str | Path | None) -> tuple[Data, str]:
    """Returns the data set and a notice for the reader, empty where there is nothing to say.

    The file that `data_file` names; without one, MNIST; without a way to it, drawn digits.
    """
    notice = ""
    if data_file is not None:
        name, arrays = Path(data_file).stem, read_archive(data_file)
    else:
        try:
            name, arrays = "mnist", download_mnist()
        except OSError as error:
            name, arrays = "drawn_digits", draw_digits()
            notice = (
                f"This is not MNIST, which could not be had ({error}).\nDigits drawn from fonts "
                "stand in for it, and the numbers differ. For the real ones fetch mnist.npz\n"
                "where there is a network, and name it in DATA_FILE, at the top of the script."
            )
    images = [arrays[key].reshape(len(arrays[key]), -1) for key in ("x_train", "x_test")]
    classes = int(arrays["y_train"].max()) + 1
    return Data(name, images[0], arrays["y_train"], images[1], arrays["y_test"], classes), notice


def fingerprint(data: Data) -> str:
    """Returns a digest that tells this data from any other."""
    digest = hashlib.sha256()
    for array in data[1:5]:
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


# ------------------------------------------------------------------------------------ network


class LayerNormalization(keras.layers.LayerNormalization):
    """Keras's layer normalization, with the scale and the offset applied last.

    What comes before them is then the same for all networks, and TensorFlow computes it once.
    """

    def call(self, inputs):
        mean, variance = tf.nn.moments(inputs, axes=[-1], keepdims=True)
        standardized = (inputs - mean) * tf.math.rsqrt(variance + self.epsilon)
        return standardized * self.gamma + self.beta


class Dense(keras.layers.EinsumDense):
    """Keras's dense layer with a kernel of [units, inputs], by which TensorFlow multiplies faster.

    The equation gives the kernel its shape; a plain matrix product computes what it says.
    """

    def __init__(self, units: int, **options):
        super().__init__("bi,ui->bu", units, bias_axes="u", **options)

    def call(self, inputs):
        products = tf.matmul(inputs, self.kernel, transpose_b=True)
        return self.activation(products + self.bias)


def build_network(
    normalization: str | None, rate: float, seed: int, pixels: int, units: int, classes: int
) -> keras.Sequential:
    """Returns an untrained network: float32 [images, pixels] from 0 to 1 -> [images, classes].

    normalization -> dropout -> dense, tanh -> dense, softmax. The initial weights depend on the
    seed and on the sizes alone, so that networks of different rates start from the same ones.
    """
    normalizations = {
        "layer": [LayerNormalization],
        "batch": [keras.layers.BatchNormalization],
        None: [],
    }
    random = keras.random.SeedGenerator(seed)
    glorot = keras.initializers.GlorotUniform(random)
    return keras.Sequential(
        [
            keras.Input([pixels]),
            *[layer() for layer in normalizations[normalization]],
            keras.layers.Dropout(rate),
            Dense(units, activation="tanh", kernel_initializer=glorot),
            Dense(classes, activation="softmax", kernel_initializer=glorot),
        ]
    )


# ----------------------------------------------------------------------------------- training
#
# All networks are trained in one TensorFlow graph, which walks over the batches and takes one step
# with every network on each. The networks share the batch and nothing else: each comes out exactly
# as it would alone, and TensorFlow spreads them over the cores.


def draw_noise(shape: tf.Tensor, seed: list) -> tf.Tensor:
    """Draws whole numbers, uint16 of this shape, all 65,536 values alike, the same for a seed.

    Two from every 32 random bits: drawing takes long, and no rate is off by more than 0.00002.
    """
    size = tf.reduce_prod(shape)
    bits = tf.random.stateless_uniform([(size + 1) // 2], seed, None, None, tf.uint32)
    return tf.reshape(tf.reshape(tf.bitcast(bits, tf.uint16), [-1])[:size], shape)


def drop(inputs: tf.Tensor, rate: float, noise: tf.Tensor) -> tf.Tensor:
    """Dropout as Keras does it, with the random numbers given: `draw_noise` in inputs' shape.

    One draw serves all networks: what is dropped at rate 0.2 is dropped at 0.3 too. So the rates
    are compared on the same luck, and drawing, which takes long, is done once a batch.
    """
    if rate == 0:
        return inputs
    highest_dropped = math.ceil(rate * 65_536) - 1  # a uint16, however close to 1 the rate
    return inputs * (tf.cast(noise > highest_dropped, inputs.dtype) * (1 / (1 - rate)))


def adam_settings(step: tf.Tensor, learning_rate: float) -> dict[str, tf.Tensor]:
    """Returns what a step of Adam is set by, with Keras's defaults; steps count from 1."""
    settings = {"lr": learning_rate, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-7}
    settings |= {"beta1_power": 0.9**step, "beta2_power": 0.999**step}
    return {name: tf.convert_to_tensor(value) for name, value in settings.items()}


def train_step(
    network: keras.Sequential,
    moments: list[tuple[tf.Variable, tf.Variable]],
    images: tf.Tensor,
    labels: tf.Tensor,
    noise: tf.Tensor,
    adam: dict[str, tf.Tensor],
) -> tf.Tensor:
    """Takes one step of Adam and returns the predictions made before it, with dropout on.

    images float32 [batch, pixels] from 0 to 1; labels int64 [batch]; noise like images; adam from
    `adam_settings`. The predictions are float32 [batch, classes].
    """
    with tf.GradientTape() as tape:
        outputs = images
        for layer in network.layers:
            if isinstance(layer, keras.layers.Dropout):
                outputs = drop(outputs, layer.rate, noise)
            else:
                outputs = layer(outputs, training=True)
        losses = keras.losses.sparse_categorical_crossentropy(labels, outputs)
        loss = tf.reduce_mean(losses)
    variables = [variable.value for variable in network.trainable_variables]
    gradients = tape.gradient(loss, variables)
    for variable, (mean, square), gradient in zip(variables, moments, gradients):
        # One fused operation, where keras.optimizers.Adam takes a dozen small ones.
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=mean.handle,
            v=square.handle,
            grad=gradient,
            **adam,
        )
    return outputs


def make_moments(network: keras.Sequential) -> list[tuple[tf.Variable, tf.Variable]]:
    """Returns what Adam keeps of the gradients of each trainable variable: two running means."""
    zeros = [tf.zeros_like(variable.value) for variable in network.trainable_variables]
    return [(tf.Variable(zero), tf.Variable(zero)) for zero in zeros]


def count_correct(predictions: list[tf.Tensor], labels: tf.Tensor) -> tf.Tensor:
    """Returns how many predictions of each network name the label: int64 [networks]."""
    return tf.math.count_nonzero(tf.argmax(tf.stack(predictions), axis=-1) == labels, axis=-1)


def make_train_function(
    networks: list[keras.Sequential],
    moments: list[list[tuple[tf.Variable, tf.Variable]]],
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> Callable:
    """Returns the function that trains the networks side by side on a number of batches.

    train(images uint8 [images, pixels], labels int64 [images], order int64 [any], first_batch
    int64) goes through the images in the given order and returns how many of them each network
    got right, with dropout on: int64 [networks]. first_batch counts from the start of training.
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, networks[0].input_shape[1]], tf.uint8),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([None], tf.int64),
            tf.TensorSpec([], tf.int64),
        ],
        autograph=False,  # there is no Python loop to translate: foldl is TensorFlow's own
    )
    def train(images, labels, order, first_batch):
        def train_batch(correct, start):
            batch = order[start : start + batch_size]
            batch_images = tf.cast(tf.gather(images, batch), tf.float32) / 255
            batch_labels = tf.gather(labels, batch)
            number = first_batch + start // batch_size
            # The seed's first two draws are the initial weights.
            noise = draw_noise(tf.shape(batch_images), [seed, number + 2])
            adam = adam_settings(tf.cast(number + 1, tf.float32), learning_rate)
            predictions = [
                train_step(*network, batch_images, batch_labels, noise, adam)
                for network in zip(networks, moments)
            ]
            return correct + count_correct(predictions, batch_labels)

        starts = tf.range(0, tf.size(order, tf.int64), batch_size)
        return tf.foldl(train_batch, starts, tf.zeros([len(networks)], tf.int64))

    return train


def make_test_function(networks: list[keras.Sequential]) -> Callable:
    """Returns the function that counts what the networks get right with dropout off.

    test(images uint8 [images, pixels], labels int64 [images]) returns int64 [networks].
    """

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, networks[0].input_shape[1]], tf.uint8),
            tf.TensorSpec([None], tf.int64),
        ],
        autograph=False,
    )
    def test(images, labels):
        def test_batch(correct, start):
            batch_images = tf.cast(images[start : start + 500], tf.float32) / 255
            predictions = [network(batch_images, training=False) for network in networks]
            return correct + count_correct(predictions, labels[start : start + 500])

        starts = tf.range(0, tf.size(labels, tf.int64), 500)  # a batch that fits the cache
        return tf.foldl(test_batch, starts, tf.zeros([len(networks)], tf.int64))

    return test


def accuracy_of(test: Callable, images: tf.Tensor, labels: tf.Tensor) -> np.ndarray:
    """Returns the part that each network gets right with dropout off: float [networks]."""
    starts = range(0, len(labels), 10_000)  # in several calls, as in training
    parts = [test(images[i : i + 10_000], labels[i : i + 10_000]).numpy() for i in starts]
    return sum(parts) / len(labels)


# ------------------------------------------------------------------- interrupted and continued


@contextlib.contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Holds the folder for this run alone. Raises UserError where another run holds it.

    SQLite's file lock works on every system, and ends with the process, however that ends.
    """
    try:
        lock = sqlite3.connect(folder / "lock", timeout=0, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        busy = "locked" in str(error)
        problem = "another run is at work" if busy else f"no run can work ({error})"
        raise UserError(
            f"FIGURES_DIR is {str(folder.parent)!r}, where {problem}; it may be any other folder."
        ) from error
    try:
        yield
    finally:
        lock.close()


class Saves:
    """What an unfinished run needs to go on, after each of its last two epochs, in a folder.

    A save is a tf.train.Checkpoint of the variables and of a record: JSON that says what is run
    ("experiment"), how many epochs are done, and what came out of them. TensorFlow's checksums
    tell a damaged one.
    """

    def __init__(self, folder: Path):
        self.folder = folder

    def prefixes(self) -> list[str]:
        """Returns the paths of all saves without their endings, the newest first."""
        numbers = [int(path.stem.split("-")[1]) for path in self.folder.glob("save-*.index")]
        return [str(self.folder / f"save-{number}") for number in sorted(numbers, reverse=True)]

    def find(self, experiment: dict[str, str]) -> tuple[str | None, dict, str]:
        """Returns the newest whole save of the experiment, its record, and a notice.

        Where there is none: None, the record of a run that has yet to start, and a notice that
        says why, or nothing where there is no save at all.
        """
        fresh = {"experiment": experiment, "done": 0, "rows": [], "final": []}
        prefixes = self.prefixes()
        for prefix in prefixes:
            try:
                reader = tf.train.load_checkpoint(prefix)
                values = {key: reader.get_tensor(key) for key in reader.get_variable_to_dtype_map()}
                record = json.loads(values["record/.ATTRIBUTES/VARIABLE_VALUE"])
            except (tf.errors.OpError, RuntimeError, LookupError, ValueError):
                continue  # damaged: the one before it, then
            differs = [
                key for key in experiment if record["experiment"].get(key) != experiment[key]
            ]
            if differs:
                # A new value of a constant also makes a new script; then the constant is named.
                names = ", ".join([key for key in differs if key != "the script"] or differs)
                return None, fresh, f"Starts afresh: unlike in the interrupted run, {names}."
            older = "" if prefix == prefixes[0] else "; the newest save is damaged, this is older"
            return prefix, record, f"Continues the interrupted run{older}."
        damaged = "Starts afresh: the interrupted run's saves are damaged."
        return None, fresh, damaged if prefixes else ""

    def track(self, variables: list[tf.Variable]) -> None:
        """Names the float32 variables to save, end to end in one: a save is then twice as fast."""
        self.variables = variables
        self.state = tf.Variable(
            tf.zeros(sum(variable.shape.num_elements() for variable in variables))
        )
        self.record = tf.Variable("")
        self.checkpoint = tf.train.Checkpoint(state=self.state, record=self.record)

    def clear(self) -> None:
        """Removes all saves."""
        for path in self.folder.glob("save-*.*"):
            path.unlink()

    def restore(self, prefix: str) -> None:
        """Sets the tracked variables to what a save holds that `find` returned."""
        self.checkpoint.read(prefix).assert_consumed()
        parts = tf.split(self.state, [variable.shape.num_elements() for variable in self.variables])
        for variable, part in zip(self.variables, parts):
            variable.assign(tf.reshape(part, variable.shape))

    def write(self, record: dict) -> None:
        """Saves the tracked variables with the record, then removes all but the save before."""
        before = self.prefixes()[:1]
        number = int(before[0].rpartition("-")[2]) + 1 if before else 0
        prefix = str(self.folder / f"save-{number}")
        self.record.assign(json.dumps(record))
        self.state.assign(tf.concat([tf.reshape(part, [-1]) for part in self.variables], axis=0))
        self.checkpoint.write(prefix)
        for path in self.folder.glob(f"save-{number}.*"):
            with open(path, "rb+") as file:
                os.fsync(file.fileno())  # a power cut takes what is not yet on the disk
        for path in self.folder.glob("save-*.*"):
            if str(path.with_suffix("")) not in [prefix, *before]:
                path.unlink()


# ------------------------------------------------------------------------------------ results


def label(normalization: str | None) -> str:
    """Returns what a normalization is called in tables and titles."""
    return f"{normalization or 'no'} normalization"


def duration(seconds: float) -> str:
    """Returns seconds, or minutes where there are many, in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def table_row(first: str, cells: list[str], last: str) -> str:
    """Returns a row of an epoch table: lines of ten cells of six characters, however many."""
    lines = [" ".join(f"{cell:>6}" for cell in cells[i : i + 10]) for i in range(0, len(cells), 10)]
    lines[0] = f"{lines[0]}  {last}"
    return f"{first:>5}  " + "\n       ".join(lines)


def final_table(rates: list[float], final: np.ndarray) -> str:
    """Returns the table after the last epoch and what it supports.

    final: float [seeds, rates, 3], the accuracies that `make_test_function` and the last epoch
    gave: training with dropout on, training with dropout off, validation.
    """
    seeds = len(final)
    columns = np.concatenate([final, final[..., 1:2] - final[..., 2:]], axis=-1)
    mean = columns.mean(axis=0)
    spread = columns.std(axis=0, ddof=1) if seeds > 1 else None
    best = int(mean[:, 2].argmax())
    heads = ["training", "dropout off", "validation", "gap"]
    lines = [" rate" + "".join(f"{head:>18}" for head in heads)]
    for row, rate in enumerate(rates):
        cells = [f"{value:.4f}" for value in mean[row]]
        if seeds > 1:
            cells = [f"{cell} ± {value:.4f}" for cell, value in zip(cells, spread[row])]
        line = f"{round(rate, 4):>5}" + "".join(f"{cell:>18}" for cell in cells)
        lines.append(line + ("  best" if row == best else ""))
    return "\n".join(lines) + "\n" + verdict(rates, final[..., 2])


def verdict(rates: list[float], validation: np.ndarray) -> str:
    """Returns in a sentence or two which rates the validation accuracies tell apart.

    validation: float [seeds, rates]. Within a seed all rates share weights, batches and dropped
    units, so rates are compared by their differences, seed by seed. Three standard errors of the
    mean difference, rather than two, because the best rate was picked by the same numbers.
    """
    seeds, best = len(validation), int(validation.mean(axis=0).argmax())
    winner = f"Rate {round(rates[best], 4)} came out best"
    if seeds == 1:
        return (
            f"{winner} with this one seed; one seed cannot tell how much of that is chance.\n"
            "SEEDS = [0, 1, 2, 3, 4] can."
        )
    difference = validation[:, [best]] - validation
    error = difference.std(axis=0, ddof=1) / math.sqrt(seeds)
    near = (difference.mean(axis=0) <= 3 * error).nonzero()[0]
    others = ", ".join(str(round(rates[row], 4)) for row in near if row != best) or "none"
    return (
        f"{winner} over {seeds} seeds. Not told apart from it (within three standard errors\n"
        f"of the paired difference): {others}. Every other rate is worse."
    )


def as_csv(header: str, rows: list[list]) -> str:
    """Returns rows as CSV text: accuracies, the floats after the rate, with six decimals."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header.split(","))
    for normalization, seed, rate, *numbers in rows:
        cells = [f"{number:.6f}" if isinstance(number, float) else number for number in numbers]
        writer.writerow([normalization or "none", seed, rate, *cells])
    return text.getvalue()


# ------------------------------------------------------------------------------------ figures

MARKERS = "ov^sDP*X<>"  # they tell lines apart where colours are close
ACCURACY_TICKS = [0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.85, 0.9, 0.92, 0.94, 0.95, 0.96, 0.97]
ACCURACY_TICKS += [0.975, 0.98, 0.985, 0.99, 0.993, 0.995, 0.997, 0.998, 0.999, 0.9995, 0.9999]


def new_figure(title: str, normalizations: list[str | None], xlabel: str, ylabel: str) -> Figure:
    """Returns a figure with a panel for each normalization, on one vertical axis."""
    panels = len(normalizations)
    figure = Figure(figsize=(4 + 4 * panels, 5), dpi=150, layout="constrained")
    figure.suptitle(title, parse_math=False)
    for axes, normalization in zip(
        figure.subplots(1, panels, sharey=True, squeeze=False)[0], normalizations
    ):
        axes.set_title(label(normalization), fontsize="medium")
        axes.set_xlabel(xlabel)
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[0].set_ylabel(ylabel)
    return figure


def stretch(axes: Axes, accuracies: np.ndarray) -> None:
    """Gives accuracies near 1 the room that their differences need, unless one is 0 or 1."""
    if 0 < accuracies.min() and accuracies.max() < 1:
        axes.set_yscale("logit")
        axes.yaxis.set_major_locator(FixedLocator(ACCURACY_TICKS))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())


def draw_band(axes: Axes, x: list, values: np.ndarray, **style) -> None:
    """Draws the mean of values [seeds, points] as a line, and one standard deviation as a band."""
    mean = values.mean(axis=0)
    axes.plot(x, mean, **style)
    if len(values) > 1:
        spread = values.std(axis=0, ddof=1)
        axes.fill_between(x, mean - spread, mean + spread, color=style["color"], alpha=0.15, lw=0)


def draw_epochs(
    name: str,
    normalizations: list[str | None],
    rates: list[float],
    accuracies: np.ndarray,
    ylabel: str,
) -> Figure:
    """Draws accuracy by epoch, a line for each rate, a panel for each normalization.

    accuracies: float [normalizations, seeds, epochs, rates].
    """
    figure = new_figure(f"{name}: accuracy by epoch", normalizations, "epoch", ylabel)
    epochs = range(1, accuracies.shape[2] + 1)
    colours = colormaps["viridis"](np.linspace(0, 0.93, len(rates)))
    for axes, values in zip(figure.axes, accuracies):
        for row, rate in enumerate(rates):
            last = f"   {values[:, -1, row].mean():.4f}" if len(accuracies) == 1 else ""
            style = {"color": colours[row], "marker": MARKERS[row % 10], "markersize": 4}
            draw_band(axes, epochs, values[:, :, row], label=f"{round(rate, 4)}{last}", **style)
        stretch(axes, accuracies)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        title="dropout rate" if len(accuracies) > 1 else "dropout rate,\nlast accuracy",
        loc="outside right center",
        ncols=math.ceil(len(rates) / 20),
    )
    return figure


def draw_rates(
    name: str, normalizations: list[str | None], rates: list[float], final: np.ndarray
) -> Figure:
    """Draws what `final_table` prints, rate across and accuracy up.

    final: float [normalizations, seeds, rates, 3].
    """
    figure = new_figure(
        f"{name}: accuracy by dropout rate",
        normalizations,
        "dropout rate",
        "accuracy after the last epoch",
    )
    lines = [
        ("training, dropout on", "#0072b2", ":", "v"),
        ("training, dropout off", "#0072b2", "-", "^"),
        ("validation, dropout off", "#d55e00", "-", "o"),
    ]
    for axes, values in zip(figure.axes, final):
        for column, (text, colour, dashes, marker) in enumerate(lines):
            style = {"color": colour, "linestyle": dashes, "marker": marker, "label": text}
            draw_band(axes, rates, values[..., column], **style)
        stretch(axes, final)
    figure.axes[0].legend(loc="lower left")
    return figure


# --------------------------------------------------------------------------------------- main


def say(text: str, end: str = "\n") -> None:
    """Prints at once; where nobody reads any more (`| head`), the run goes on in silence."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def writing_to(folder: str | Path) -> Iterator[None]:
    """Raises UserError where something cannot be written to the folder."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        # TensorFlow's message goes on for lines: the one with the path has the system's reason.
        lines = [line for line in str(error).splitlines() if str(folder) in line]
        reason = getattr(error, "strerror", None) or (lines or [type(error).__name__])[0]
        raise UserError(
            f"FIGURES_DIR is {str(folder)!r}, where the run cannot write ({reason}); it may be a "
            "folder of yours on a disk with room."
        ) from error


def train_sweeps(
    data: Data,
    sweeps: list[tuple[str | None, int]],
    rates: list[float],
    epochs: int,
    batch_size: int,
    hidden_units: int,
    learning_rate: float,
    saves: Saves,
    prefix: str | None,
    record: dict,
) -> Iterator[None]:
    """Runs one sweep over the rates for each normalization and seed, or what is left of them.

    Prints a table that grows by a row an epoch. Brings the record up to date, and yields whenever
    it is time for a save: before the first epoch, which shows early whether there is room, and
    after every one. The record's "rows" hold normalization, seed, rate, epoch, training accuracy
    and validation accuracy; its "final", for every finished sweep, normalization, seed, rate and
    the three accuracies of `final_table`.
    """
    size, pixels = data.train_images.shape
    train_data = tf.constant(data.train_images), tf.constant(data.train_labels)
    test_data = tf.constant(data.test_images), tf.constant(data.test_labels)
    # A call takes a fraction of a second; between calls Python sees Ctrl-C.
    batches_per_call = max(1, min(1_000, 128_000 // batch_size) // len(rates))
    durations = []
    for normalization, seed in sweeps[record["done"] // epochs :]:
        networks = [
            build_network(normalization, rate, seed, pixels, hidden_units, data.classes)
            for rate in rates
        ]
        moments = [make_moments(network) for network in networks]
        train = make_train_function(networks, moments, batch_size, learning_rate, seed)
        test = make_test_function(networks)
        # Dropout's own random state is an integer, and unused: see draw_noise.
        variables = [variable.value for network in networks for variable in network.variables]
        floats = [variable for variable in variables if variable.dtype == tf.float32]
        saves.track(floats + [moment for pairs in moments for pair in pairs for moment in pair])
        if record["done"] % epochs > 0:
            saves.restore(prefix)
        elif record["done"] == 0:
            yield

        say(f"\nValidation accuracy by dropout rate, {label(normalization)}, seed {seed}")
        say(table_row("epoch", [str(round(rate, 4)) for rate in rates], "seconds  left"))
        for epoch in range(record["done"] % epochs + 1, epochs + 1):
            started = time.monotonic()
            order = np.random.default_rng([seed, epoch]).permutation(size)
            correct = 0
            for start in range(0, size, batches_per_call * batch_size):
                if sys.stdout is not None and sys.stdout.isatty():
                    say(f"\r{epoch:>5}  {start / size:.0%} ", end="")
                part = order[start : start + batches_per_call * batch_size]
                first_batch = (epoch - 1) * -(-size // batch_size) + start // batch_size
                correct += train(*train_data, part, first_batch).numpy()
            accuracy = correct / size
            val_accuracy = accuracy_of(test, *test_data)
            names = [[normalization, seed, rate] for rate in rates]
            record["rows"] += [
                [*name, epoch, *pair] for name, *pair in zip(names, accuracy, val_accuracy)
            ]
            if epoch == epochs:
                off = accuracy_of(test, *train_data)
                record["final"] += [
                    [*name, *triple] for name, *triple in zip(names, accuracy, off, val_accuracy)
                ]
            record["done"] += 1
            yield
            durations.append(time.monotonic() - started)
            left = np.mean(durations) * (len(sweeps) * epochs - record["done"])
            cells = [f"{value:.4f}" for value in val_accuracy]
            times = f"{durations[-1]:>7.1f}  {duration(left)}"
            live = "\r" if sys.stdout is not None and sys.stdout.isatty() else ""
            say(live + table_row(str(epoch), cells, times))


def main() -> None:
    """Runs the sweeps that the constants describe, and writes what comes out of them."""
    gc.freeze()  # what is imported stays: no need to look through it for garbage
    tf.config.threading.set_intra_op_parallelism_threads(1)  # the networks run in parallel instead
    tf.get_logger().setLevel("ERROR")  # it warns where each sweep rightly makes new functions
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.reconfigure(errors="replace")  # what the terminal's encoding lacks
    constants = {
        "DROPOUT_RATES": DROPOUT_RATES,
        "NORMALIZATIONS": NORMALIZATIONS,
        "SEEDS": SEEDS,
        "EPOCHS": EPOCHS,
        "BATCH_SIZE": BATCH_SIZE,
        "HIDDEN_UNITS": HIDDEN_UNITS,
        "LEARNING_RATE": LEARNING_RATE,
        "DATA_FILE": DATA_FILE,
        "FIGURES_DIR": FIGURES_DIR,
    }
    done, epochs = 0, 0
    try:
        if len(sys.argv) > 1:
            raise UserError(
                f"The command line holds {sys.argv[1]!r}; it may hold nothing after the script's "
                "name: the constants at the top of the script set everything."
            )
        check_constants(constants)
        data, notice = load_data(DATA_FILE)
        folder = Path(FIGURES_DIR, f".network_dropout_{data.name}")
        with writing_to(FIGURES_DIR):
            folder.mkdir(parents=True, exist_ok=True)
        rates = sorted(float(rate) for rate in DROPOUT_RATES)
        sweeps = list(itertools.product(NORMALIZATIONS, SEEDS))
        experiment = {name: repr(value) for name, value in constants.items()} | {
            "the script": hashlib.sha256(Path(__file__).read_bytes()).hexdigest(),
            "the data": fingerprint(data),
            "the version of TensorFlow": tf.__version__,
            "the version of Keras": keras.__version__,
        }
        with only_run(folder):
            saves = Saves(folder)
            prefix, record, resumed = saves.find(experiment)
            done, epochs = record["done"], len(sweeps) * EPOCHS
            if prefix is None:
                saves.clear()
            for line in filter(None, [notice, resumed]):
                say(line)
            say(
                f"{data.name}: {len(sweeps) * len(rates)} networks, {len(rates)} at a time, "
                f"{EPOCHS} epochs each, {len(data.train_labels)} training images, "
                f"{len(data.test_labels)} for validation"
            )
            batch_size = min(BATCH_SIZE, len(data.train_labels))
            settings = (EPOCHS, batch_size, HIDDEN_UNITS, LEARNING_RATE)
            for _ in train_sweeps(data, sweeps, rates, *settings, saves, prefix, record):
                with writing_to(FIGURES_DIR):
                    saves.write(record)
                done = record["done"]

            shape = (len(NORMALIZATIONS), len(SEEDS))
            history = np.array([row[4:] for row in record["rows"]])
            history = history.reshape(*shape, EPOCHS, len(rates), 2)
            final = np.array([row[3:] for row in record["final"]]).reshape(*shape, len(rates), 3)
            for normalization, values in zip(NORMALIZATIONS, final):
                say(f"\nAfter {EPOCHS} epochs, {label(normalization)}")
                say(final_table(rates, values))
            named = (data.name, NORMALIZATIONS, rates)
            outputs = {
                "accuracy.png": draw_epochs(
                    *named, history[..., 0], "training accuracy, dropout on"
                ),
                "val_accuracy.png": draw_epochs(
                    *named, history[..., 1], "validation accuracy, dropout off"
                ),
                "rates.png": draw_rates(*named, final),
                "history.csv": as_csv(
                    "normalization,seed,dropout_rate,epoch,accuracy,val_accuracy", record["rows"]
                ),
                "final.csv": as_csv(
                    "normalization,seed,dropout_rate,accuracy,accuracy_dropout_off,val_accuracy",
                    record["final"],
                ),
            }
            say("")
            with writing_to(FIGURES_DIR):
                for name, output in outputs.items():
                    if isinstance(output, str):
                        (folder / name).write_text(output, encoding="ascii", newline="")
                    else:
                        output.savefig(folder / name, format="png")
                for name in outputs:
                    path = Path(FIGURES_DIR, f"network_dropout_{data.name}_{name}")
                    os.replace(folder / name, path)
                    say(f"Wrote {path}")
                saves.clear()
        shutil.rmtree(folder, ignore_errors=True)
    except UserError as error:
        print(f"dropout_sweep.py: {error}", file=sys.stderr)
        sys.exit(2)
    except SystemExit:
        kept = f"Stopped; epochs 1 to {done} of {epochs} are kept, and running the script again"
        text = f"{kept} continues from there." if done else "Stopped before an epoch was finished."
        print(f"\n{text}", file=sys.stderr)
        raise


if __name__ == "__main__":
    main()
