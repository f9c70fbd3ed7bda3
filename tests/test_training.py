"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

import contextlib
import itertools
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import SCRIPT, load

import dropout_sweep

SEED, RATES, SIZES = 3, [0.0, 0.2, 0.5, 0.9], (784, 10)
SMALL = {"HIDDEN_UNITS": 16, "BATCH_SIZE": 64}
L = "keras.layers."
INPUT = "keras.Input([pixels]),\n"
NORMALIZATION = "NORMALIZATION_LAYERS[normalization](),\n"
DROPOUT = "keras.layers.Dropout(rate),\n"
HIDDEN = 'keras.layers.Dense(HIDDEN_UNITS, activation="tanh"),\n'
OUTPUT = 'keras.layers.Dense(classes, activation="softmax"),\n'
OPTIMIZER = "optimizer=keras.optimizers.Adam(LEARNING_RATE),\n"
LOSS = 'loss="sparse_categorical_crossentropy",\n'
METRICS = 'metrics=["accuracy"],\n'
CLASS = "def build_network("
SEQUENTIAL = re.search(r"(?s)keras\.Sequential\(.*?\n    \)\n", SCRIPT.read_text("utf-8"))[0]
BRANCHES = """keras.Model(x := keras.Input([pixels]), keras.layers.Dense(classes, "softmax")(
    keras.layers.Concatenate()([
        keras.layers.Dropout(rate)(NORMALIZATION_LAYERS[normalization]()(x)),
        keras.layers.Dense(9)(x),
    ])
))
"""


def define(code: str) -> tuple[str, str]:
    """Puts code before `build_network`."""
    return CLASS, f"{code.strip()}\n\n\n{CLASS}"


def model(code: str) -> list[tuple[str, str]]:
    """Puts a class Mine in place of the network."""
    return [define(code), (SEQUENTIAL, "Mine(rate, classes)\n")]


def hidden(more: str) -> tuple[str, str]:
    return HIDDEN, HIDDEN.replace('"tanh"', f'"tanh", {more}')


def after(line: str, *layers: str) -> tuple[str, str]:
    return line, line + "".join(f"{L}{layer},\n" for layer in layers)


def instead(line: str, *layers: str) -> tuple[str, str]:
    return line, after(line, *layers)[1].removeprefix(line)


def optimizer(text: str) -> tuple[str, str]:
    return OPTIMIZER, f"optimizer=keras.optimizers.{text},\n"


def loss(text: str) -> tuple[str, str]:
    return LOSS, f"loss={text},\n"


def metrics(text: str) -> tuple[str, str]:
    return METRICS, f"metrics={text},\n"


SUBCLASS = """
class Mine(keras.Model):
    def __init__(self, rate, classes):
        super().__init__()
        self.dropout = keras.layers.GaussianDropout(rate)
        self.dense = keras.layers.Dense(classes, "softmax")

    def call(self, x, training=False):
        return self.dense(self.dropout(x, training=training))
"""
OWN_STEP = (
    SUBCLASS
    + """
    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            outputs = (self(x, training=True) + self(x, training=True)) / 2
            loss = self.compute_loss(y=y, y_pred=outputs) + 0.1
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        self.seen.update_state(x)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            elif metric is not self.seen:
                metric.update_state(y, outputs)
        return {metric.name: metric.result() for metric in self.metrics} | self.get_metrics_result()
"""
).replace("super().__init__()", "super().__init__(); self.seen = keras.metrics.Mean(name='seen')")
TWICE = """
class Mine(keras.Sequential):
    def __init__(self, rate, classes):
        super().__init__([
            keras.Input([784]),
            keras.layers.Dropout(rate, seed=1),
            keras.layers.Dense(classes, "softmax"),
        ])

    def train_step(self, data):
        super().train_step(data)
        return super().train_step(data)
"""
ADDS_LOSS = """
class AddsLoss(keras.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs**2, axis=-1))
        return inputs
"""
KEEPS_MEAN = """
class KeepsMean(keras.Layer):
    def __init__(self):
        super().__init__()
        self.mean = keras.metrics.Mean()

    def call(self, inputs):
        self.mean.update_state(inputs)
        return inputs - self.mean.result()
"""
KEEPS_RATE = """
class KeepsRate(keras.Layer):
    def __init__(self, rate):
        super().__init__()
        self.rate = self.add_weight(initializer=keras.initializers.Constant(rate), trainable=False)

    def call(self, inputs):
        return inputs * (1 - self.rate)
"""
COUNTS = """
class Counts(keras.Layer):
    def __init__(self):
        super().__init__()
        self.calls = self.add_weight(initializer="zeros", trainable=False)

    def call(self, inputs):
        self.calls.assign_add(1)
        return inputs / self.calls
"""
SCHEDULE = """
class Falls(keras.optimizers.schedules.LearningRateSchedule):
    def __call__(self, step):
        return 0.01 / (1.0 + tf.cast(step, tf.float32))
"""
EAGER = """
class Mine(keras.Sequential):
    def __init__(self, rate, classes):
        super().__init__([keras.Input([784]), keras.layers.Dense(classes, "softmax")])

    def train_step(self, data):
        assert float(data[0].numpy().max()) <= 1
        return super().train_step(data)
"""
LOOKED_UP = "TABLE = {rate: 1 - rate for rate in DROPOUT_RATES}"
CROSSENTROPY = "keras.losses.SparseCategoricalCrossentropy"


# The rate at which Keras's fit gives the same: 0 with the plain Dropout, whose random numbers are
# not Keras's own.
EDITS = {
    "none": (0.0,),
    "second hidden layer": (
        0.0,
        after(HIDDEN, "Dense(20, 'relu', kernel_initializer='he_normal')"),
    ),
    "units by rate": (0.5, (DROPOUT, ""), (HIDDEN, f"{L}Dense(round(8 / (1 - rate))),\n")),
    "if rate": (0.0, (DROPOUT, "*([keras.layers.Dropout(rate)] if rate > 0 else []),\n")),
    "rate looked up": (
        0.5,
        define(LOOKED_UP),
        instead(DROPOUT, "Rescaling(TABLE[rate] + DROPOUT_RATES.index(rate))"),
    ),
    "rate as weight": (0.5, define(KEEPS_RATE), (DROPOUT, "KeepsRate(rate),\n")),
    "penalties": (
        0.0,
        hidden(
            "kernel_regularizer=keras.regularizers.L2(0.1),"
            "activity_regularizer=keras.regularizers.L2(0.1),"
            "kernel_constraint=keras.constraints.MaxNorm(0.5)"
        ),
    ),
    "own normalization": (
        0.0,
        (NORMALIZATION, f"{L}LayerNormalization(epsilon=0.1, center=False),\n"),
    ),
    "normalization of rows": (0.0, after(NORMALIZATION, "Reshape([28, 28])", "Flatten()")),
    "noise": (0.0, after(DROPOUT, "GaussianNoise(0.1)")),
    "gaussian dropout": (0.4, instead(DROPOUT, "GaussianDropout(rate)")),
    "alpha dropout": (0.4, instead(DROPOUT, "AlphaDropout(rate)")),
    "dropout settings": (0.4, instead(DROPOUT, "Dropout(rate, seed=7, noise_shape=[None, 1])")),
    "dropout in float16": (0.4, instead(DROPOUT, "Dropout(rate, dtype='float16')")),
    "dropout in bfloat16": (0.4, instead(DROPOUT, "Dropout(rate, dtype='bfloat16')")),
    "spatial": (0.4, instead(DROPOUT, "Reshape([28, 28])", "SpatialDropout1D(rate)", "Flatten()")),
    "block": (0.4, (DROPOUT, f"keras.Sequential([{L}Dense(20), {L}Dropout(rate)]),\n")),
    "mask": (
        0.0,
        instead(NORMALIZATION, "Reshape([28, 28])", "Masking()"),
        instead(HIDDEN, "SimpleRNN(8)"),
    ),
    "functional": (0.4, (SEQUENTIAL, BRANCHES)),
    "named output": (
        0.4,
        (
            SEQUENTIAL,
            BRANCHES.replace(
                "keras.layers.Dense(classes", "{'digit': keras.layers.Dense(classes"
            ).replace("])\n))", "])\n)})"),
        ),
    ),
    "subclass": (0.4, *model(SUBCLASS)),
    "own step": (0.4, *model(OWN_STEP)),
    "two steps in one": (0.4, *model(TWICE)),
    "without Input": (0.0, (INPUT, "")),
    "rows": (0.0, (INPUT, f"keras.Input([28, 28]),\n{L}Flatten(),\n")),
    "any number of rows": (
        0.0,
        (INPUT, "keras.Input([None, 28]),\n"),
        instead(HIDDEN, "SimpleRNN(8)"),
    ),
    "images": (0.0, (INPUT, f"keras.Input([28, 28, 1]),\n{L}Conv2D(3, 3, 3),\n{L}Flatten(),\n")),
    "whole inputs": (0.0, (INPUT, "keras.Input([pixels], dtype='int32'),\n")),
    "sparse gradients": (
        0.0,
        instead(NORMALIZATION, "Rescaling(9.0)", "Embedding(10, 4)", "GlobalAveragePooling1D()"),
    ),
    "float16": (0.0, hidden("dtype='mixed_float16'"), optimizer("Adam(epsilon=0.001)")),
    "bfloat16 weights": (0.0, hidden("dtype='bfloat16'")),
    "float64": (0.0, hidden("dtype='float64'")),
    "added loss": (0.0, define(ADDS_LOSS), (HIDDEN, HIDDEN + "AddsLoss(),\n")),
    "metric in a layer": (0.0, define(KEEPS_MEAN), (HIDDEN, HIDDEN + "KeepsMean(),\n")),
    "state in a layer": (0.0, define(COUNTS), (HIDDEN, HIDDEN + "Counts(),\n")),
    "frozen layer": (0.0, hidden("trainable=False")),
    "eager": (0.0, *model(EAGER), (METRICS, METRICS + "run_eagerly=True,\n")),
    "logits": (
        0.0,
        (OUTPUT, f"{L}Dense(classes),\n"),
        loss(f"{CROSSENTROPY}(from_logits=True)"),
        (OPTIMIZER, 'optimizer="adam",\n'),
    ),
    "loss for each image": (0.0, loss(f"{CROSSENTROPY}(reduction=None)")),
    "loss summed": (0.0, loss(f"{CROSSENTROPY}(reduction='sum')"), optimizer("SGD(0.0001)")),
    "loss as a function": (
        0.0,
        loss("lambda y, p: keras.losses.sparse_categorical_crossentropy(y, p) + 1"),
    ),
    "loss as a partial": (
        0.0,
        loss("functools.partial(keras.losses.sparse_categorical_crossentropy, ignore_class=3)"),
    ),
    "loss weights": (
        0.0,
        optimizer("SGD(0.1, momentum=0.9)"),
        (LOSS, LOSS + "loss_weights=0.1,\n"),
    ),
    "acc": (0.0, metrics('["acc"]')),
    "weighted metrics": (0.0, (METRICS, f"weighted_{METRICS}")),
    "metric objects": (
        0.0,
        metrics(
            "[keras.metrics.SparseTopKCategoricalAccuracy(),"
            "keras.metrics.SparseCategoricalAccuracy()]"
        ),
    ),
    "amsgrad": (0.0, optimizer("Adam(0.002, 0.8, 0.9, amsgrad=True, global_clipnorm=0.5)")),
    "adam": (
        0.0,
        optimizer(
            "Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5), 0.8, 0.9,"
            "epsilon=0.01, weight_decay=0.1, clipnorm=0.1)"
        ),
    ),
    "adamw": (0.0, optimizer("AdamW(0.002)")),
    "rmsprop": (0.0, optimizer("RMSprop(0.002, centered=True)")),
    "own schedule": (
        0.0,
        define(SCHEDULE),
        (OPTIMIZER, "optimizer=keras.optimizers.Adam(Falls()),\n"),
    ),
    "averages": (0.0, optimizer("Adam(use_ema=True, ema_momentum=0.9)")),
    "averages put in": (0.0, optimizer("Adam(use_ema=True, ema_overwrite_frequency=3)")),
    "accumulation": (0.0, optimizer("Adam(gradient_accumulation_steps=3)")),
    "loss scale": (0.0, optimizer("SGD(0.1, loss_scale_factor=8.0)")),
    "dynamic loss scale": (0.0, optimizer("LossScaleOptimizer(keras.optimizers.Adam())")),
}
BETTER_AS_GRAPH = {"none", "float16", "two steps in one", "mask", "any number of rows"}
NEEDS_KERAS_3_6 = {"named output", "loss as a partial", "loss for each image"}
CASES = [("batch", "none"), (None, "none"), *[("layer", edit) for edit in EDITS]]


@pytest.fixture(scope="module")
def data(digits, tmp_path_factory) -> list[np.ndarray]:
    return load(tmp_path_factory.mktemp("data"), DATA_FILE=digits).load_data()[1]


def make_sweep(module, rates, normalization="layer", seed=SEED):
    return module.Sweep(module.build_networks(normalization, seed, rates, *SIZES), seed)


def sweep_of(folder, *edits, rates=RATES, seed=SEED, normalization="layer"):
    return make_sweep(load(folder, *edits, **SMALL), rates, normalization, seed)


def train(sweep, data, epochs: int = 2) -> np.ndarray:
    """Returns loss, accuracy, val_loss, val_accuracy by epoch, float [epochs, 4, rates]."""
    x, y, test_x, test_y = data
    history = []
    for epoch in range(1, epochs + 1):
        sweep.train_epoch(x, y, np.arange(len(x)), epoch)
        training = dropout_sweep.read_metrics(sweep.networks)
        sweep.test_epoch(test_x, test_y)
        history.append(np.concatenate([training, dropout_sweep.read_metrics(sweep.networks)]))
    for network in sweep.networks:
        network.optimizer.finalize_variable_values(network.trainable_variables)
    return np.array(history)


def weights(network) -> list[np.ndarray]:
    return [tf.cast(weight.value, tf.float64).numpy() for weight in network.weights]


def fit(network, data, as_graph: bool) -> np.ndarray:
    """Returns what `train` returns, from Keras's own `fit`, without a graph in half of the time."""
    shape = [-1, 784]
    if network.built and network.inputs:
        shape = [28 if size is None else size for size in network.inputs[0].shape[1:]]
        shape = [-1, *shape]
    sets = []
    for images, labels in (data[:2], data[2:]):
        pairs = (images.reshape(shape) / np.float32(255), labels)
        sets.append(tf.data.Dataset.from_tensor_slices(pairs).batch(SMALL["BATCH_SIZE"]))
    network.run_eagerly = not as_graph
    history = network.fit(sets[0], epochs=2, verbose=0, validation_data=sets[1]).history
    accuracy = next(name for name in dropout_sweep.ACCURACY_NAMES if name in history)
    names = ["loss", accuracy, "val_loss", f"val_{accuracy}"]
    return np.transpose([history[name] for name in names])


@pytest.mark.parametrize("normalization, edit", CASES)
def test_agrees_with_fit(normalization, edit, data, tmp_path):
    if edit in NEEDS_KERAS_3_6 and keras.__version__.startswith("3.5."):
        pytest.skip("Keras 3.5 cannot compile that")
    rate, *edits = EDITS[edit]
    module = load(tmp_path, *edits, **SMALL)
    data = [each[:150] for each in data]
    try:
        sweep = make_sweep(module, [rate], normalization)
        history = train(sweep, data)
    finally:
        tf.config.run_functions_eagerly(False)
    keras.utils.set_random_seed(SEED)
    network = module.build_network(normalization, rate, *SIZES)
    fitted = fit(network, data, as_graph=edit in BETTER_AS_GRAPH)
    np.testing.assert_allclose(history[..., 0], fitted, rtol=2e-4, atol=0.006)
    for ours, theirs in zip(weights(sweep.networks[0]), weights(network), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


@pytest.mark.parametrize("normalization", ["layer", "batch", None])
def test_trained_together_is_trained_alone_to_the_last_bit(normalization, data, tmp_path):
    together = sweep_of(tmp_path, normalization=normalization)
    history = train(together, data)
    rows = [0, 2, 3]  # the last rate gives its weights to all
    fewer = sweep_of(tmp_path, rates=[RATES[row] for row in rows], normalization=normalization)
    fewer_history = train(fewer, data)
    np.testing.assert_array_equal(fewer_history[:, :2], history[:, :2, rows])
    np.testing.assert_allclose(fewer_history, history[..., rows], atol=1e-6)
    for row, network in zip(rows, fewer.networks):
        for pair in zip(weights(together.networks[row]), weights(network), strict=True):
            np.testing.assert_array_equal(*pair)


def test_without_what_makes_it_fast_the_networks_train_the_same(data, tmp_path, monkeypatch):
    module = load(tmp_path, instead(DROPOUT, "GaussianDropout(rate)"), **SMALL)
    fast = make_sweep(module, RATES)
    history = train(fast, data)
    monkeypatch.setattr(module, "accelerated", lambda *_, **__: contextlib.nullcontext())
    slow = make_sweep(module, RATES)
    np.testing.assert_allclose(train(slow, data), history, rtol=1e-4, atol=0.002)
    for ours, theirs in zip(fast.networks, slow.networks):
        for pair in zip(weights(ours), weights(theirs), strict=True):
            np.testing.assert_allclose(*pair, atol=1e-4)


def test_what_makes_it_fast_is_at_work_while_a_step_is_traced_and_never_else(tmp_path):
    """One operation stands for Adam's dozen, and one set of random numbers for all rates."""
    sweep = sweep_of(tmp_path)
    graph = sweep.train_epoch.get_concrete_function().graph
    body = next(
        each for each in graph.as_graph_def(True).library.function if "body" in each.signature.name
    )
    operations = [node.op for node in body.node_def]
    assert operations.count("ResourceApplyAdam") == 6 * len(RATES)
    network = sweep.networks[1]
    parts = [network.layers[0], network.layers[1], network.optimizer]
    assert not any({"call", "apply", "update_step"} & vars(part).keys() for part in parts)
    with tf.Graph().as_default(), dropout_sweep.accelerated([network], 0, 1, 1):
        assert "call" in vars(parts[0]) and "call" in vars(parts[1]) and "apply" in vars(parts[2])
    assert not any({"call", "apply", "update_step"} & vars(part).keys() for part in parts)


NOISE = after(DROPOUT, "GaussianNoise(0.1)")
UNITS = HIDDEN, "keras.layers.Dense(math.ceil(8 / (1 - rate))),\n"
SOMETIMES = DROPOUT, "*([keras.layers.Dropout(rate)] if rate > 0 else []),\n"
OTHER_PARTS = NORMALIZATION, "keras.layers.LayerNormalization(center=rate > 0, scale=rate == 0),\n"


@pytest.mark.parametrize("edit", [NOISE, SOMETIMES])
def test_all_rates_of_a_seed_start_from_the_weights_that_keras_gives_the_highest(edit, tmp_path):
    sweep = sweep_of(tmp_path, edit)
    keras.utils.set_random_seed(SEED)
    highest = load(tmp_path, edit, **SMALL).build_network("layer", RATES[-1], *SIZES)
    for network in sweep.networks:
        for ours, theirs in zip(network.trainable_weights, highest.trainable_weights, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    other = sweep_of(tmp_path, edit, seed=SEED + 1).networks[0]
    assert not np.array_equal(other.trainable_weights[2], highest.trainable_weights[2])


@pytest.mark.parametrize("edit", [UNITS, OTHER_PARTS])
def test_weights_of_other_shapes_or_kinds_are_left_as_keras_made_them(edit, data, tmp_path):
    zero, high = sweep_of(tmp_path, edit, rates=[0.0, 0.5]).networks
    keras.utils.set_random_seed(SEED)
    alone = load(tmp_path, edit, **SMALL).build_network("layer", 0.0, *SIZES)
    for ours, theirs, other in zip(zero.weights, alone.weights, high.weights):
        if (ours.name, ours.shape) != (other.name, other.shape):
            np.testing.assert_array_equal(ours, theirs)


def dropped(sweep, step: int) -> list[np.ndarray]:
    """Returns what dropout makes of ones, float [500, 784] for each network."""
    outputs = []
    step = tf.constant(step, tf.int64)
    with dropout_sweep.accelerated(sweep.networks, sweep.seed, step, tf.constant(500)):
        for network in sweep.networks:
            outputs.append(network(tf.ones([500, 784]), training=True).numpy())
    return outputs


def test_dropout_drops_its_share_paired_and_anew_at_every_step_place_and_seed():
    def dropouts(number, seed):
        networks = []
        for rate in RATES:
            layers = [keras.layers.Dropout(rate) for _ in range(number)]
            networks.append(keras.Sequential([keras.Input([784]), *layers]))
            networks[-1].compile()
        return dropout_sweep.Sweep(networks, seed)

    def both_dropped(one, other):
        return ((one[2] == 0) & (other[2] == 0)).mean()

    once = dropped(dropouts(1, SEED), 1)
    for rate, output in zip(RATES, once):
        assert (output == 0).mean() == pytest.approx(rate, abs=0.003)
        np.testing.assert_allclose(output[output != 0], 1 / (1 - rate), rtol=1e-6)
    for lower, higher in itertools.pairwise(once):
        assert (higher[lower == 0] == 0).all()
    assert both_dropped(once, dropped(dropouts(1, SEED), 1)) == pytest.approx(0.5, abs=0.003)
    for other in (dropped(dropouts(1, SEED), 2), dropped(dropouts(1, SEED + 1), 1)):
        assert both_dropped(once, other) == pytest.approx(0.25, abs=0.003)
    # Two places of one step, and of the next, have four sets of random numbers.
    first, second = dropped(dropouts(2, SEED), 1), dropped(dropouts(2, SEED), 2)
    assert (first[2] == 0).mean() == pytest.approx(0.75, abs=0.003)
    assert both_dropped(first, second) == pytest.approx(0.75**2, abs=0.003)


def test_dropout_acts_in_training_alone_and_anew_in_every_epoch(data, tmp_path):
    sweep = sweep_of(tmp_path, optimizer("SGD(0.0)"), rates=[0.0, 0.9], normalization=None)
    trained = sweep_of(tmp_path, rates=[0.0], normalization=None)
    train(trained, data, 5)
    for network in sweep.networks:
        network.set_weights(trained.networks[0].get_weights())
    (_, _, val_loss, _), (_, _, again, _) = history = train(sweep, data)
    assert val_loss[0] == val_loss[1] == again[1]
    (first, accuracy, *_), (second, *_) = history
    assert second[1] != first[1] > first[0] + 0.1 and accuracy[1] < accuracy[0] - 0.1


def test_every_epoch_and_seed_has_an_order_of_its_own(data, tmp_path, monkeypatch):
    module = load(tmp_path, **SMALL | {"EPOCHS": 2})
    orders = []
    for seed in (SEED, SEED + 1):
        sweep = make_sweep(module, [0.5], None, seed)
        train_epoch = sweep.train_epoch

        def spy(x, y, indices, epoch, train_epoch=train_epoch):
            orders.append(indices)
            return train_epoch(x, y, indices, epoch)

        monkeypatch.setattr(sweep, "train_epoch", spy)
        module.train_sweep(sweep, [0.5], data, 1)
    assert len({order.tobytes() for order in orders}) == 4
    assert all((np.sort(order) == np.arange(len(data[0]))).all() for order in orders)


def test_averaged_weights_count_at_the_end(data, tmp_path):
    averages = optimizer("Adam(use_ema=True, ema_momentum=0.9)")
    module = load(tmp_path, averages, **SMALL | {"EPOCHS": 1})
    sweep = make_sweep(module, [0.0])
    history, final = module.train_sweep(sweep, [0.0], data, 1)
    _, _, x, y = data
    loss, accuracy = sweep.networks[0].evaluate(x / np.float32(255), y, verbose=0)
    np.testing.assert_allclose(final["val_loss"], loss, rtol=1e-4)
    np.testing.assert_allclose(final["val_accuracy"], accuracy, atol=0.004)
    assert abs(history["val_loss"][0, 0] - loss) > 0.01


def test_random_numbers_of_other_kinds_are_the_same_at_every_run(data, tmp_path):
    monte_carlo = DROPOUT, "keras.layers.Lambda(lambda x: tf.nn.dropout(x, 0.5)),\n"
    module = load(tmp_path, monte_carlo, **SMALL | {"BATCH_SIZE": 4})  # many batches
    runs = [train(make_sweep(module, [0.5]), data, 1) for _ in range(4)]
    assert all((run == runs[0]).all() for run in runs)


def test_a_network_that_was_trained_is_saved_and_loaded(data, tmp_path):
    sweep = sweep_of(tmp_path, rates=[0.5])
    (network,) = sweep.networks
    loaded = []
    for name in ("new.keras", "trained.keras"):
        network.save(tmp_path / name)
        loaded.append(keras.models.load_model(tmp_path / name))
        x, y, *_ = data
        np.testing.assert_array_equal(network.predict(x[:9]), loaded[-1].predict(x[:9]))
        train(sweep, data)
    network.fit(x[:99], y[:99], verbose=0)  # as if it had never been in a sweep
    assert loaded[0].optimizer.iterations == 0 < loaded[1].optimizer.iterations


REPORTS_NOTHING = (
    SUBCLASS
    + """
    def train_step(self, data):
        super().train_step(data)
        return {"loss": 1.0}
"""
)
REPORTS_A_BATCH = (
    SUBCLASS
    + """
    def train_step(self, data):
        logs = super().train_step(data)
        return logs | {"accuracy": 0.123}
"""
)
REFUSED = {
    "returns None; it must return a compiled": [("    return network\n", "")],
    "that is not compiled": [("network.compile(", "dict(")],
    "inputs of [(783,)]; it must return one with one input of 784": [
        (INPUT, "keras.Input([783]),\n")
    ],
    "inputs of [(784,), (784,)]": [
        (
            SEQUENTIAL,
            "keras.Model([x := keras.Input([pixels]), y := keras.Input([pixels])], x + y)\n",
        )
    ],
    "test_step reports ['loss']; it must report": [metrics("[]")],
    "train_step reports ['loss']": model(REPORTS_NOTHING),
    "train_step reports ['accuracy', 'loss']": model(REPORTS_A_BATCH),
    "parts of an earlier model": [define("SHARED = keras.layers.Dense(10)"), (OUTPUT, "SHARED,\n")],
    "parts of an earlier model; it must": [
        define("SHARED = keras.optimizers.Adam()"),
        (OPTIMIZER, "optimizer=SHARED,\n"),
    ],
}


@pytest.mark.parametrize("words", REFUSED)
def test_networks_that_cannot_be_compared_are_refused_with_a_sentence(words, tmp_path):
    module = load(tmp_path, *REFUSED[words], **SMALL)
    with pytest.raises(SystemExit) as caught:
        module.build_first_networks([0.0, 0.5], *SIZES)
    sentence = caught.value.code.replace("['loss', 'accuracy']", "['accuracy', 'loss']")
    assert words in sentence and sentence.startswith("build_network returns ")
    assert "; it must " in sentence and "\n" not in sentence


def test_what_keras_refuses_keras_explains(tmp_path):
    module = load(tmp_path, instead(OUTPUT, "Dense(9, 'softmax')"), **SMALL)
    with pytest.raises(tf.errors.InvalidArgumentError, match="label value of 9"):
        module.build_first_networks([0.0, 0.5], *SIZES)
