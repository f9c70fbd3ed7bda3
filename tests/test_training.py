"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import load

import dropout_sweep

SEED, RATES, SIZES = 3, [0.0, 0.2, 0.5, 0.9], (784, 10)
SMALL = {"HIDDEN_UNITS": 16, "BATCH_SIZE": 64}
INPUT, DROPOUT = "keras.Input([pixels]),\n", "keras.layers.Dropout(rate),\n"
HIDDEN = 'keras.layers.Dense(HIDDEN_UNITS, activation="tanh"),\n'
OPTIMIZER = "return Adam(float(LEARNING_RATE))"
RELU = HIDDEN.replace('"tanh"', '"relu", kernel_initializer="he_normal"')
SCHEDULE = "keras.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5)"
LAYERS, INDENT = "keras.layers.", " " * 12
SUBCLASSES = f"""type("MyDropout", (keras.layers.Dropout,), {{}})(rate), {LAYERS}Reshape([28, 28]),
{LAYERS}SpatialDropout1D(rate), {LAYERS}Flatten(),"""


def hidden(more: str) -> tuple[str, str]:
    return HIDDEN, HIDDEN.replace('"tanh"', f'"tanh", {more}')


# The rate at which Keras's fit gives the same weights: 0 with Keras's plain Dropout, whose random
# numbers are not Keras's own.
EDITS = {
    "none": (0.0,),
    "dropout moved": (0.0, (DROPOUT + INDENT + HIDDEN, HIDDEN + DROPOUT)),
    "second dropout": (0.0, (HIDDEN, HIDDEN + DROPOUT)),
    "second hidden layer": (0.0, (HIDDEN, HIDDEN + RELU)),
    "no bias": (0.0, hidden("use_bias=False")),
    "regularizer": (0.0, hidden("kernel_regularizer=keras.regularizers.L2(0.1)")),
    "activity": (0.0, hidden("activity_regularizer=keras.regularizers.L2(0.1)")),
    "constraint": (0.0, hidden("kernel_constraint=keras.constraints.MaxNorm(0.5)")),
    "batch normalization": (0.0, (HIDDEN, HIDDEN + "keras.layers.BatchNormalization(),\n")),
    "noise": (0.0, (DROPOUT, DROPOUT + "keras.layers.GaussianNoise(0.1),\n")),
    "gaussian dropout": (0.4, (DROPOUT, f"{LAYERS}GaussianDropout(rate),\n")),
    "alpha dropout": (0.4, (DROPOUT, f"{LAYERS}AlphaDropout(rate),\n")),
    "noise shape": (0.4, (DROPOUT, f"{LAYERS}Dropout(rate, noise_shape=[None, 1]),\n")),
    "seed": (0.4, (DROPOUT, f"{LAYERS}Dropout(rate, seed=7),\n")),
    "subclasses": (0.4, (DROPOUT, SUBCLASSES)),
    "block": (0.4, (DROPOUT, f"keras.Sequential([{LAYERS}Dense(20), {LAYERS}Dropout(rate)]),\n")),
    "momentum": (0.0, (OPTIMIZER, "return keras.optimizers.SGD(0.1, momentum=0.9)")),
    "schedule": (0.0, (OPTIMIZER, f"return Adam({SCHEDULE})")),
    "adam": (0.0, (OPTIMIZER, "return Adam(0.002, 0.8, 0.9, amsgrad=True, global_clipnorm=0.5)")),
}
CASES = [("batch", "none"), (None, "none"), *[("layer", edit) for edit in EDITS]]


@pytest.fixture(scope="module")
def data(digits, tmp_path_factory) -> list[np.ndarray]:
    return load(tmp_path_factory.mktemp("data"), DATA_FILE=digits).load_data()[1]


def weights(network) -> list[np.ndarray]:
    return [variable.numpy() for variable in network.variables if "seed" not in variable.path]


def train(sweep, data, epochs: int = 2) -> np.ndarray:
    """Returns training and validation accuracy, float [epochs, 2, rates]."""
    (x, y, test_x, test_y), history = data, []
    for _ in range(epochs):
        training = sweep.accuracy(x, y, np.arange(len(x)), True)
        history.append([training, sweep.accuracy(test_x, test_y, np.arange(len(test_x)), False)])
    return np.array(history)


@pytest.mark.parametrize("normalization, edit", CASES)
def test_agrees_with_plain_keras(normalization, edit, data, tmp_path):
    rate, *edits = EDITS[edit]
    module = load(tmp_path, *edits, **SMALL)
    sweep = module.Sweep(normalization, SEED, [rate], SIZES)
    first = sweep.networks[0].get_weights()
    for other in module.Sweep(normalization, SEED, [0.0, 0.5], SIZES).networks:
        assert all(map(np.array_equal, other.get_weights(), first))  # rates start from the same
    other = module.Sweep(normalization, SEED + 1, [rate], SIZES).networks[0]
    assert not np.array_equal(other.get_weights()[-2], first[-2])  # and seeds from others
    keras.utils.set_random_seed(SEED)
    network = module.build_network(normalization, rate, *SIZES)
    network.set_weights(first)
    optimizer = module.build_optimizer()
    if isinstance(optimizer, module.Adam):
        optimizer = keras.optimizers.Adam.from_config(optimizer.get_config())
    network.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y, test_x, test_y = data
    options = {"batch_size": SMALL["BATCH_SIZE"], "epochs": 2, "shuffle": False, "verbose": 0}
    fitted = network.fit(x / np.float32(255), y, **options, validation_data=(test_x / 255, test_y))
    history = np.array([fitted.history["accuracy"], fitted.history["val_accuracy"]]).T
    np.testing.assert_allclose(train(sweep, data)[..., 0], history, atol=0.0035)
    for ours, theirs in zip(weights(sweep.networks[0]), weights(network), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2e-4)


@pytest.mark.parametrize("normalization", ["layer", "batch", None])
def test_trained_together_is_trained_alone_to_the_last_bit(normalization, data, tmp_path):
    module = load(tmp_path, **SMALL)
    together = module.Sweep(normalization, SEED, RATES, SIZES)
    accuracies = train(together, data)
    for row in (0, 2, 3):
        alone = module.Sweep(normalization, SEED, [RATES[row]], SIZES)
        np.testing.assert_array_equal(train(alone, data)[..., 0], accuracies[..., row])
        for pair in zip(weights(together.networks[row]), weights(alone.networks[0]), strict=True):
            np.testing.assert_array_equal(*pair)


def test_dropout_drops_its_share_paired_and_anew_at_every_step_place_and_seed(monkeypatch):
    def build_network(number, rate):
        return keras.Sequential([keras.Input([784]), *map(keras.layers.Dropout, [rate] * number)])

    def outputs(number, seed, step):
        sweep, ones = dropout_sweep.Sweep(number, seed, RATES, ()), tf.ones([500, 784])
        return [sweep.predict(n, ones, tf.constant(step, tf.int64)).numpy() for n in sweep.networks]

    monkeypatch.setattr(dropout_sweep, "build_network", build_network)
    once = outputs(1, SEED, 1)
    for rate, output in zip(RATES, once):
        assert (output == 0).mean() == pytest.approx(rate, abs=0.003)
        np.testing.assert_allclose(output[output != 0], 1 / (1 - rate), rtol=1e-6)
    assert all((higher[lower == 0] == 0).all() for lower, higher in itertools.pairwise(once))
    np.testing.assert_array_equal(once, outputs(1, SEED, 1))
    assert (outputs(2, SEED, 1)[2] == 0).mean() == pytest.approx(0.75, abs=0.003)
    for other in (outputs(1, SEED, 2), outputs(1, SEED + 1, 1)):
        assert ((other[2] == 0) & (once[2] == 0)).mean() == pytest.approx(0.25, abs=0.003)


def test_dropout_acts_in_training_alone_and_anew_in_every_epoch(data, tmp_path):
    trained = load(tmp_path, **SMALL).Sweep(None, SEED, [0.0], SIZES)
    train(trained, data, 5)
    still = (OPTIMIZER, "return keras.optimizers.SGD(0.0)")
    sweep = load(tmp_path, still, **SMALL).Sweep(None, SEED, [0.0, 0.9], SIZES)
    for network in sweep.networks:
        network.set_weights(trained.networks[0].get_weights())
    first, second = train(sweep, data)
    assert first[1, 0] == first[1, 1] == second[1, 1]
    assert second[0, 1] != first[0, 1] < first[0, 0] - 0.1


def test_edits_take_effect_or_are_refused(data, tmp_path):
    def layers(edit, epochs, units=16):
        module = load(tmp_path, *EDITS[edit][1:], HIDDEN_UNITS=units)
        sweep = module.Sweep("layer", SEED, [0.5], SIZES)
        train(sweep, data, epochs)
        return [layer.get_weights()[:1] for layer in sweep.networks[0].layers]

    kernel, small, bounded = (layers(e, 2)[2][0] for e in ("none", "regularizer", "constraint"))
    assert np.abs(small).mean() < 0.9 * np.abs(kernel).mean()
    assert np.linalg.norm(bounded, axis=0).max() < 0.5001
    deviation = layers("second hidden layer", 0, 400)[3][0].std()
    assert deviation == pytest.approx((2 / 400) ** 0.5, rel=0.02)  # he_normal's
    with pytest.raises(SystemExit, match=r"keras\.Input"):
        load(tmp_path, (INPUT, "")).Sweep("layer", SEED, RATES, SIZES)
