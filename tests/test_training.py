"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

import functools
import itertools
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropout_sweep as d

SEED = 3
SHAPE = (8, 8)
CLASSES = 10
layers = keras.layers


@pytest.fixture(scope="module")
def data() -> list[tf.Tensor]:
    """Images and labels: 150 to train on, 70 to validate."""
    random = np.random.default_rng(0)
    labels = random.integers(CLASSES, size=220)
    images = random.integers(256, size=(220, *SHAPE), dtype=np.uint8)
    return [tf.constant(each) for each in (images[:150], labels[:150], images[150:], labels[150:])]


class OwnStep(keras.Sequential):
    """A network that learns to say the next class, by a training step of its own."""

    def train_step(self, data):
        images, labels = data
        return super().train_step((images, (labels + 1) % CLASSES))


def chain(*parts, kind=keras.Sequential, optimizer=None, metric="accuracy"):
    """A network of these layers between pixels from 0 to 1 and a softmax; it has no Input."""
    start = [layers.Rescaling(1 / 255), layers.Flatten()]
    end = [layers.Flatten(), layers.Dense(CLASSES, activation="softmax")]
    network = kind([*start, *parts, *end])
    optimizer = optimizer or d.FusedAdam(d.LEARNING_RATE)
    network.compile(optimizer, "sparse_categorical_crossentropy", metrics=[metric])
    return network


SLOWING = keras.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5)
ADAM = {"learning_rate": SLOWING, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.01, "clipnorm": 0.1}
BUILD = d.build_network
NETWORKS = {  # each at rate 0.4; Keras's own parts draw the random numbers
    "layer": lambda rate: BUILD("layer", 0.0, SHAPE, CLASSES),
    "batch": lambda rate: BUILD("batch", 0.0, SHAPE, CLASSES),
    "noise shape": lambda rate: chain(d.PairedDropout(rate, noise_shape=[None, 1])),
    "seed": lambda rate: chain(d.PairedDropout(rate, seed=7)),
    "other axes": lambda rate: chain(layers.Reshape(SHAPE), d.SharedLayerNormalization([1, 2])),
    "no center": lambda rate: chain(d.SharedLayerNormalization(epsilon=0.1, center=False)),
    "float16": lambda rate: chain(d.SharedLayerNormalization(dtype="float16")),
    "adam": lambda rate: chain(optimizer=d.FusedAdam(**ADAM, weight_decay=0.1)),
    "amsgrad": lambda rate: chain(optimizer=d.FusedAdam(0.01, beta_2=0.5, amsgrad=True)),
    "averages": lambda rate: chain(optimizer=d.FusedAdam(0.01, use_ema=True, ema_momentum=0.8)),
    "sparse gradients": lambda rate: chain(layers.Embedding(10, 4), layers.Flatten()),
    "float64": lambda rate: chain(layers.Dense(8, dtype="float64")),
    "Keras's own": lambda rate: chain(layers.Dropout(rate), optimizer="adamw"),
    "state": lambda rate: chain(layers.ActivityRegularization(0.1), layers.BatchNormalization()),
    "own step": lambda rate: chain(kind=OwnStep),
}


def build(monkeypatch, network, rates, seed=SEED):
    """Returns the networks of a sweep: `network` makes one from a rate."""
    monkeypatch.setattr(d, "build_network", lambda _, rate, *sizes: network(rate))
    return d.build_networks("layer", seed, rates, SHAPE, CLASSES)


def train(sweep, data, seed=SEED) -> np.ndarray:
    """Returns loss, accuracy, val_loss, val_accuracy by epoch, float [2 epochs, 4, rates]."""
    history = []
    for epoch in (1, 2):
        training = sweep.train_epoch(np.arange(len(data[0])), seed, epoch)
        history.append(np.concatenate([training, sweep.test_epoch(*data[2:])]))
    return np.array(history)


@pytest.mark.parametrize("name", NETWORKS)
def test_agrees_with_fit(name, data, monkeypatch):
    other, ours = build(monkeypatch, NETWORKS[name], [0.1, 0.4])
    history = train(d.Sweep([other, ours], *data[:2]), data)[..., 1]
    monkeypatch.setattr(d, "PairedDropout", layers.Dropout)
    monkeypatch.setattr(d, "FusedAdam", keras.optimizers.Adam)
    monkeypatch.setattr(d, "SharedLayerNormalization", layers.LayerNormalization)
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, "layer", layers.LayerNormalization)
    keras.utils.set_random_seed(SEED)
    theirs = NETWORKS[name](0.4)
    options = {"batch_size": 128, "validation_batch_size": 128, "shuffle": False, "verbose": 0}
    fitted = theirs.fit(*data[:2], epochs=2, validation_data=tuple(data[2:]), **options).history
    expected = [fitted[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")]
    np.testing.assert_allclose(history.T, expected, 1e-4, 1e-6)
    ours.optimizer.finalize_variable_values(ours.trainable_variables)
    for pair in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(*pair, 1e-3, 1e-5)


@pytest.mark.parametrize(("normalization", "axis"), [("layer", 1), ("batch", 0)])
def test_the_default_network_computes_what_it_should(normalization, axis, data, monkeypatch):
    """Normalization, tanh and softmax, written out."""
    monkeypatch.setattr(d, "HIDDEN_UNITS", 16)
    monkeypatch.setattr(d, "LEARNING_RATE", 0.002)
    network = d.build_network(normalization, 0.0, SHAPE, CLASSES)
    random = np.random.default_rng(0)
    values = [random.normal(size=weight.shape) for weight in network.trainable_weights]
    for weight, value in zip(network.trainable_weights, values):
        weight.assign(value)
    scale, shift, kernel, bias, last_kernel, last_bias = values
    x = data[0].numpy().reshape(150, 64) / 255
    x = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 0.001)
    logits = np.tanh((x * scale + shift) @ kernel + bias) @ last_kernel + last_bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network(data[0], training=True), expected, 1e-3, 1e-5)
    assert kernel.shape == (64, 16) and isinstance(network.optimizer, d.FusedAdam)
    assert float(network.optimizer.learning_rate) == pytest.approx(0.002)


# Numbers without a seed; those of keras.random start anew with `set_random_seed` from 3.6 on.
RANDOM = tf.random if keras.__version__.startswith("3.5.") else keras.random


def stateful(rate):
    noise = layers.Lambda(lambda x: x + 0.1 * RANDOM.normal(keras.ops.shape(x)))
    parts = [noise, layers.BatchNormalization(), layers.GaussianDropout(rate)]
    return chain(*parts, d.PairedDropout(rate), optimizer=d.FusedAdam(use_ema=True))


def test_numbers_depend_on_nothing_but_the_seed(data, monkeypatch):
    networks = functools.partial(build, monkeypatch, stateful, [0.0, 0.5])
    sweep = d.Sweep(networks(SEED), *data[:2])
    first = train(sweep, data)
    sweep.start_again(networks(SEED + 1))
    history = train(sweep, data, SEED + 1)
    fresh = d.Sweep(networks(SEED + 1), *data[:2])
    np.testing.assert_array_equal(train(fresh, data, SEED + 1), history)
    assert not (first == history).all(axis=(0, 1)).any()
    # Batches are walked in turn, or what has no seed would depend on which of them is faster.
    for function in (sweep.train_epoch, sweep.test_epoch):
        operations = function.get_concrete_function().graph.get_operations()
        (loop,) = [each for each in operations if each.type.endswith("While")]
        assert loop.get_attr("parallel_iterations") == 1


def test_all_rates_start_from_the_weights_that_keras_gives_the_highest(monkeypatch):
    def network(rate):
        dropout = [layers.Dropout(rate)] if rate else []  # it takes a random number
        return chain(*dropout, layers.Dense(16))

    zero, highest = build(monkeypatch, network, [0.0, 0.5])
    keras.utils.set_random_seed(SEED)
    alone = network(0.5)
    alone.build([None, *SHAPE])
    np.testing.assert_equal(highest.get_weights(), alone.get_weights())
    np.testing.assert_equal(zero.get_weights(), alone.get_weights())


def test_dropout_drops_its_share_paired_and_anew_at_every_call_step_and_seed(data, monkeypatch):
    kept = []

    class Keeps(d.PairedDropout):
        def call(self, inputs, training=False):
            kept.append(super().call(tf.ones_like(inputs), training=training))
            return inputs

    def network(rate):
        return chain(layers.Dense(300), layers.Reshape([30, 10]), Keeps(rate), Keeps(rate))

    rates = [0.0, 0.2, 0.5]
    monkeypatch.setattr(d, "BATCH_SIZE", 64)
    sweep = d.Sweep(build(monkeypatch, network, rates), *data[:2])
    spy = mock.Mock(wraps=tf.nn.experimental.stateless_dropout)
    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", spy)
    kept.clear()
    for seed, epoch in ((3, 1), (3, 2), (4, 1), (3, 1)):
        d.Sweep.train_epoch.python_function(sweep, np.arange(128), seed, epoch)  # not as a graph
    values = np.reshape(kept, [4, 2, 3, 2, 64, 300])  # epochs, batches, rates, calls
    np.testing.assert_array_equal(values[0], values[3])
    zero, low, high = np.moveaxis(values[:3], 2, 0).reshape(3, 12, 64 * 300)
    for rate, masked in zip(rates, (zero, low, high)):
        assert (masked == 0).mean() == pytest.approx(rate, abs=0.006)
        np.testing.assert_allclose(masked[masked != 0], 1 / (1 - rate), rtol=1e-6)
    assert (high[low == 0] == 0).all()
    for one, other in itertools.combinations(high == 0, 2):
        assert (one & other).mean() == pytest.approx(0.25, abs=0.012)
    # The number of images is one tensor a batch, or TensorFlow would draw anew for each rate.
    assert len({id(call.kwargs["noise_shape"][0]) for call in spy.call_args_list}) == 4 * 2


def test_a_sweep_is_measured_as_keras_evaluates_it(data, monkeypatch):
    networks = build(monkeypatch, NETWORKS["averages"], [0.0, 0.5])
    sweep = d.Sweep(networks, *data[:2])
    spy = mock.Mock(side_effect=sweep.train_epoch)
    monkeypatch.setattr(sweep, "train_epoch", spy)
    monkeypatch.setattr(d, "EPOCHS", 3)
    history, final = d.train_sweep(sweep, SEED, [0.0, 0.5], data)
    for row, network in enumerate(networks):
        _, accuracy = network.evaluate(*data[:2], verbose=0)
        val_loss, val_accuracy = network.evaluate(*data[2:], verbose=0)
        expected = [history[row, -1]["accuracy"], accuracy, val_accuracy, val_loss]
        np.testing.assert_allclose(list(final[row]), expected, rtol=1e-4)
    assert abs(history["val_loss"][:, -1] - final["val_loss"]).min() > 1e-3  # averages count
    d.train_sweep(sweep, SEED + 1, [0.0, 0.5], data)
    orders = [call.args[0] for call in spy.call_args_list]
    assert len({order.tobytes() for order in orders}) == 6  # of each epoch and seed its own
    assert all((np.sort(order) == np.arange(150)).all() for order in orders)


def test_a_trained_network_is_saved_and_loaded(data, tmp_path):
    (network,) = d.build_networks("layer", SEED, [0.5], SHAPE, CLASSES)
    train(d.Sweep([network], *data[:2]), data)
    network.save(tmp_path / "trained.keras")
    loaded = keras.models.load_model(tmp_path / "trained.keras")
    np.testing.assert_array_equal(network.predict(data[0]), loaded.predict(data[0]))
    loaded.fit(*data[:2], verbose=0)
    assert int(loaded.optimizer.iterations) == 9 and loaded.layers[3].rate == 0.5


def test_networks_that_cannot_be_compared_are_refused(monkeypatch):
    dense = layers.Dense(9)
    adam = keras.optimizers.Adam()
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    refused = [
        lambda rate: chain(dense),
        lambda rate: chain(optimizer=adam),
        lambda rate: chain(metric=accuracy),
        lambda rate: chain(metric="acc"),
    ]
    for network in refused:
        with pytest.raises(SystemExit, match="build_network (shares|compiles no)"):
            build(monkeypatch, network, [0.0, 0.5])


def test_a_later_normalization_that_cannot_be_built_ends_the_run_at_once(data, monkeypatch):
    monkeypatch.setattr(d, "NORMALIZATIONS", ["layer", "odd"])
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, "odd", lambda: layers.GroupNormalization(groups=7))
    monkeypatch.setattr(d, "train_sweep", None)
    with pytest.raises(ValueError, match="groups"):
        d.run_sweeps(None, [0.5], data)
