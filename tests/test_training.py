"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

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
L, INDENT = "keras.layers.", " " * 12
INPUT = "keras.Input([pixels]),\n"
NORMALIZATION = "NORMALIZATION_LAYERS[normalization](),\n"
DROPOUT = "keras.layers.Dropout(rate),\n"
HIDDEN = 'keras.layers.Dense(HIDDEN_UNITS, activation="tanh"),\n'
OUTPUT = 'keras.layers.Dense(classes, activation="softmax"),\n'
OPTIMIZER = "optimizer=keras.optimizers.Adam(LEARNING_RATE),\n"
LOSS = 'loss="sparse_categorical_crossentropy",\n'
TABLE = '    "batch": keras.layers.BatchNormalization,\n'
CLASS = "def build_network("
SEQUENTIAL = re.search(r"(?s)keras\.Sequential\(.*?\n    \)\n", SCRIPT.read_text("utf-8"))[0]
BRANCHES = """keras.Model(x := keras.Input([pixels]), keras.layers.Dense(classes, "softmax")(
    keras.layers.Concatenate()([
        keras.layers.Dropout(rate)(NORMALIZATION_LAYERS[normalization]()(x)),
        keras.layers.Dense(9)(x),
    ])
))
"""
ADDS_LOSS = """class AddsLoss(keras.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs**2, axis=-1))
        return inputs


def build_network("""


def hidden(more: str) -> tuple[str, str]:
    return HIDDEN, HIDDEN.replace('"tanh"', f'"tanh", {more}')


def after(line: str, *layers: str) -> tuple[str, str]:
    return line, line + "".join(f"{L}{layer},\n" for layer in layers)


def instead(line: str, *layers: str) -> tuple[str, str]:
    return line, after(line, *layers)[1].removeprefix(line)


def optimizer(text: str) -> tuple[str, str]:
    return OPTIMIZER, f"optimizer=keras.optimizers.{text},\n"


def mask(dropout: str) -> list[tuple[str, str]]:
    rows = instead(NORMALIZATION, "Reshape([28, 28])", "Masking()")
    return [rows, instead(DROPOUT, dropout), instead(HIDDEN, "SimpleRNN(8)")]


# The rate at which Keras's fit gives the same: 0 with the plain Dropout, whose random numbers are
# not Keras's own.
EDITS = {
    "none": (0.0,),
    "second hidden layer": (
        0.0,
        after(HIDDEN, "Dense(20, 'relu', kernel_initializer='he_normal')"),
    ),
    "units by rate": (0.5, (DROPOUT, ""), (HIDDEN, f"{L}Dense(round(8 / (1 - rate))),\n")),
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
    "noise": (0.0, after(DROPOUT, "GaussianNoise(0.1)")),
    "gaussian dropout": (0.4, instead(DROPOUT, "GaussianDropout(rate)")),
    "alpha dropout": (0.4, instead(DROPOUT, "AlphaDropout(rate)")),
    "dropout settings": (0.4, instead(DROPOUT, "Dropout(rate, seed=7, noise_shape=[None, 1])")),
    "dropout regularized": (
        0.4,
        instead(DROPOUT, "Dropout(rate, activity_regularizer=keras.regularizers.L2(0.001))"),
    ),
    "dropout in float16": (0.4, instead(DROPOUT, "Dropout(rate, dtype='float16')")),
    "spatial": (0.4, instead(DROPOUT, "Reshape([28, 28])", "SpatialDropout1D(rate)", "Flatten()")),
    "block": (0.4, (DROPOUT, f"keras.Sequential([{L}Dense(20), {L}Dropout(rate)]),\n")),
    "mask": (0.4, *mask("Dropout(rate)")),
    "functional": (0.4, (SEQUENTIAL, BRANCHES)),
    "rows": (
        0.0,
        (INPUT, f"keras.Input([28, 28]),\n{L}Flatten(),\n"),
        (LOSS, LOSS + 'metrics=["accuracy"],\n'),
    ),
    "images": (0.0, (INPUT, f"keras.Input([28, 28, 1]),\n{L}Conv2D(3, 3, 3),\n{L}Flatten(),\n")),
    "whole inputs": (0.0, (INPUT, "keras.Input([pixels], dtype='int32'),\n")),
    "sparse gradients": (
        0.0,
        instead(NORMALIZATION, "Rescaling(9.0)", "Embedding(10, 4)", "GlobalAveragePooling1D()"),
    ),
    "float16": (0.0, hidden("dtype='mixed_float16'")),
    "added loss": (0.0, (CLASS, ADDS_LOSS), (HIDDEN, HIDDEN + "AddsLoss(),\n")),
    "logits": (
        0.0,
        (OUTPUT, f"{L}Dense(classes),\n"),
        (LOSS, "loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),\n"),
        (OPTIMIZER, 'optimizer="adam",\n'),
    ),
    "loss weights": (
        0.0,
        optimizer("SGD(0.1, momentum=0.9)"),
        (LOSS, LOSS + "loss_weights=0.1,\n"),
    ),
    "amsgrad": (0.0, optimizer("Adam(0.002, 0.8, 0.9, amsgrad=True, global_clipnorm=0.5)")),
    "adam": (
        0.0,
        optimizer(
            "Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5), 0.8, 0.9,"
            "epsilon=0.01, weight_decay=0.1, clipnorm=0.1)"
        ),
    ),
    "averages": (0.0, optimizer("Adam(use_ema=True, ema_momentum=0.9)")),
    "accumulation": (0.0, optimizer("Adam(gradient_accumulation_steps=3)")),
    "loss scale": (0.0, optimizer("SGD(0.1, loss_scale_factor=8.0)")),
    "dynamic loss scale": (0.0, optimizer("LossScaleOptimizer(keras.optimizers.Adam())")),
}
CASES = [("batch", "none"), (None, "none"), *[("layer", edit) for edit in EDITS]]


@pytest.fixture(scope="module")
def data(digits, tmp_path_factory) -> list[np.ndarray]:
    return load(tmp_path_factory.mktemp("data"), DATA_FILE=digits).load_data()[1]


def train(sweep, data, epochs: int = 2) -> np.ndarray:
    """Returns loss, accuracy, val_loss, val_accuracy by epoch, float [epochs, 4, rates]."""
    x, y, test_x, test_y = data
    history = []
    for epoch in range(1, epochs + 1):
        training = sweep.train_epoch(x, y, np.arange(len(x)), epoch)
        history.append(np.concatenate([training, sweep.evaluate(test_x, test_y)]))
    sweep.finish()
    return np.array(history)


def weights(network) -> list[np.ndarray]:
    return [weight.numpy() for weight in network.weights]


@pytest.mark.parametrize("normalization, edit", CASES)
def test_agrees_with_fit(normalization, edit, data, tmp_path):
    rate, *edits = EDITS[edit]
    module = load(tmp_path, *edits, **SMALL)
    sweep = module.Sweep(normalization, SEED, [rate], *SIZES)
    keras.utils.set_random_seed(SEED)
    network = module.build_network(normalization, rate, *SIZES)
    for ours, theirs in zip(sweep.networks[0].variables, network.variables, strict=True):
        theirs.assign(ours)
    x, y, test_x, test_y = data
    shape = [-1, *network.input_shape[1:]]
    x, test_x = x.reshape(shape) / np.float32(255), test_x.reshape(shape) / np.float32(255)
    options = {"batch_size": SMALL["BATCH_SIZE"], "epochs": 2, "shuffle": False, "verbose": 0}
    fitted = network.fit(x, y, **options, validation_data=(test_x, test_y)).history
    history = train(sweep, data)
    for column, name in enumerate(("loss", "accuracy", "val_loss", "val_accuracy")):
        if name in fitted:
            np.testing.assert_allclose(history[:, column, 0], fitted[name], atol=0.003)
    for ours, theirs in zip(weights(sweep.networks[0]), weights(network), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


def sweep_of(folder, *edits, rates=RATES, seed=SEED, normalization="layer"):
    return load(folder, *edits, **SMALL).Sweep(normalization, seed, rates, *SIZES)


@pytest.mark.parametrize("normalization", ["layer", "batch", None])
def test_trained_together_is_trained_alone_to_the_last_bit(normalization, data, tmp_path):
    together = sweep_of(tmp_path, normalization=normalization)
    history = train(together, data)
    for row in (0, 2, 3):
        alone = sweep_of(tmp_path, rates=[RATES[row]], normalization=normalization)
        alone_history = train(alone, data)[..., 0]
        np.testing.assert_array_equal(alone_history[:, :2], history[:, :2, row])
        # TensorFlow orders the products of layer normalization in another way, where it validates.
        np.testing.assert_allclose(alone_history, history[..., row], atol=1e-6)
        for pair in zip(weights(together.networks[row]), weights(alone.networks[0]), strict=True):
            np.testing.assert_array_equal(*pair)


NOISE = after(DROPOUT, "GaussianNoise(0.1)")
SPREAD = hidden("kernel_initializer=keras.initializers.RandomNormal(stddev=1 - rate)")
UNITS = HIDDEN, "keras.layers.Dense(math.ceil(8 / (1 - rate))),\n"
SOMETIMES = DROPOUT, "*([keras.layers.Dropout(rate), keras.layers.Dense(30)] if rate else []),\n"


def test_all_rates_start_from_the_same_weights_and_random_states(data, tmp_path):
    zero, half, more = sweep_of(tmp_path, NOISE, rates=[0.0, 0.5, 0.9]).networks
    for network in (zero, more):
        for pair in zip(weights(network), weights(half), strict=True):
            np.testing.assert_array_equal(*pair)
        states = [layer.seed_generator.state for layer in (network.layers[2], half.layers[2])]
        np.testing.assert_array_equal(*states)
    other = sweep_of(tmp_path, rates=[0.0], seed=SEED + 1).networks[0]
    assert not np.array_equal(weights(other)[-2], weights(zero)[-2])
    zero, half = sweep_of(tmp_path, SPREAD, rates=[0.0, 0.5]).networks
    np.testing.assert_allclose(weights(half)[2], 0.5 * weights(zero)[2], atol=1e-6)
    for edit, sizes in ((UNITS, [8, 16]), (SOMETIMES, [784, 30])):
        sweep = sweep_of(tmp_path, edit, rates=[0.0, 0.5])
        assert [network.layers[-2].input.shape[1] for network in sweep.networks] in (
            [784] * 2,
            sizes,
        )
        assert [network.layers[-1].input.shape[1] for network in sweep.networks] in (
            [16] * 2,
            sizes,
        )
        assert np.isfinite(train(sweep, data)).all()


def test_dropout_drops_its_share_paired_and_anew_at_every_step_place_and_seed(monkeypatch):
    def build_network(number, rate, *_):
        network = keras.Sequential(
            [keras.Input([784]), *map(keras.layers.Dropout, [rate] * number)]
        )
        network.compile(loss="mse")
        return network

    def outputs(number, seed, step):
        sweep = dropout_sweep.Sweep(number, seed, RATES, *SIZES)
        step = tf.constant(step, tf.int64)
        return [sweep.call(network, tf.ones([500, 784]), step) for network in sweep.networks]

    def both_dropped(one, other):
        return ((one[2].numpy() == 0) & (other[2].numpy() == 0)).mean()

    monkeypatch.setattr(dropout_sweep, "build_network", build_network)
    once = outputs(1, SEED, 1)
    for rate, output in zip(RATES, once):
        output = output.numpy()
        assert (output == 0).mean() == pytest.approx(rate, abs=0.003)
        np.testing.assert_allclose(output[output != 0], 1 / (1 - rate), rtol=1e-6)
    for lower, higher in itertools.pairwise(once):
        assert (higher.numpy()[lower.numpy() == 0] == 0).all()
    assert both_dropped(once, outputs(1, SEED, 1)) == pytest.approx(0.5, abs=0.003)
    for other in (outputs(1, SEED, 2), outputs(1, SEED + 1, 1)):
        assert both_dropped(once, other) == pytest.approx(0.25, abs=0.003)
    # Two places of one step, and of the next, have four sets of random numbers.
    first, second = outputs(2, SEED, 1), outputs(2, SEED, 2)
    assert (first[2].numpy() == 0).mean() == pytest.approx(0.75, abs=0.003)
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
        sweep = module.Sweep(None, seed, [0.5], *SIZES)
        train_epoch = sweep.train_epoch

        def spy(x, y, order, epoch, train_epoch=train_epoch):
            orders.append(order)
            return train_epoch(x, y, order, epoch)

        monkeypatch.setattr(sweep, "train_epoch", spy)
        module.train_sweep(sweep, data, 1)
    assert len({order.tobytes() for order in orders}) == 4
    assert all((np.sort(order) == np.arange(len(data[0]))).all() for order in orders)


def test_random_numbers_of_other_kinds_are_the_same_at_every_run(data, tmp_path):
    monte_carlo = DROPOUT, "keras.layers.Lambda(lambda x: tf.nn.dropout(x, 0.5)),\n"
    module = load(tmp_path, monte_carlo, **SMALL | {"BATCH_SIZE": 4})  # many batches
    runs = [train(module.Sweep("layer", SEED, [0.5], *SIZES), data, 1) for _ in range(4)]
    assert all((run == runs[0]).all() for run in runs)


def test_a_network_that_was_trained_is_saved_and_loaded(data, tmp_path):
    network = sweep_of(tmp_path, rates=[0.5]).networks[0]
    loaded = []
    for name in ("new.keras", "trained.keras"):
        network.save(tmp_path / name)
        loaded.append(keras.models.load_model(tmp_path / name))
        x, y, *_ = data
        np.testing.assert_array_equal(network.predict(x[:9]), loaded[-1].predict(x[:9]))
        sweep = sweep_of(tmp_path, rates=[0.5])
        sweep.networks = [network]
        train(sweep, data)
    network.fit(x[:99], y[:99], verbose=0)  # as if it had never been in a sweep
    assert loaded[0].optimizer.iterations == 0 < loaded[1].optimizer.iterations


SUBCLASS = "type('Mine', (keras.Model,), {'train_step': lambda self, data: {}})"
REFUSED = {
    "returns None; it may return a compiled": ("    return network\n", ""),
    "without keras.Input": (INPUT, ""),
    "returns a Mine; it may": (SEQUENTIAL, BRANCHES.replace("keras.Model", SUBCLASS, 1)),
    "not compiled": ("network.compile(", "dict("),
    "without a loss": (LOSS, ""),
    "or one for each image": (
        LOSS,
        'loss=keras.losses.SparseCategoricalCrossentropy(reduction="none"),\n',
    ),
    "inputs of [[783]]; it may return one with one input of 784": (INPUT, "keras.Input([783]),\n"),
    "outputs of [[9]]; it may return one with one output of 10": (
        OUTPUT,
        f"{L}Dense(9, 'softmax'),\n",
    ),
    "outputs of [[28, 10]]": (INPUT, "keras.Input([28, 28]),\n"),
    "outputs of [[784], [784]]": (
        SEQUENTIAL,
        "keras.Model(x := keras.Input([pixels]), [x, x])\n",
    ),
    "metrics [['accuracy', 'mse'], None]": (LOSS, LOSS + "metrics=['accuracy', 'mse'],\n"),
    "parts of an earlier": (CLASS, "SHARED = keras.layers.Dense(10)\n\n\ndef build_network("),
    "parts of an earlier network": (
        CLASS,
        "SHARED = keras.optimizers.Adam()\n\n\ndef build_network(",
    ),
}
USES = {
    "parts of an earlier": (OUTPUT, "SHARED,\n"),
    "parts of an earlier network": (OPTIMIZER, "optimizer=SHARED,\n"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_networks_that_cannot_be_trained_as_fit_does_are_refused(words, tmp_path):
    edits = [REFUSED[words], *([USES[words]] if words in USES else [])]
    with pytest.raises(SystemExit) as caught:
        sweep_of(tmp_path, *edits)
    assert words in caught.value.code and caught.value.code.startswith("build_network returns ")
    assert "; it may return " in caught.value.code


def test_an_unknown_normalization_and_another_policy_are_refused(tmp_path, monkeypatch):
    with pytest.raises(KeyError):
        sweep_of(tmp_path, normalization="rms")
    module = load(tmp_path, (TABLE, TABLE + '    "unit": keras.layers.UnitNormalization,\n'))
    monkeypatch.setattr(module, "NORMALIZATIONS", ["unit"])
    module.check_constants()
    layer = module.Sweep("unit", 0, [0.5], *SIZES).networks[0].layers[0]
    assert type(layer) is keras.layers.UnitNormalization
    module.check_keras()
    try:
        keras.config.set_dtype_policy("mixed_float16")
        with pytest.raises(
            SystemExit, match="dtype policy is 'mixed_float16'; it may be 'float32'"
        ):
            module.check_keras()
    finally:
        keras.config.set_dtype_policy("float32")
