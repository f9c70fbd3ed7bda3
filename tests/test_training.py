"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

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
TRAINING = 150  # of 220 images
layers = keras.layers

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(256, size=(220, *SHAPE), dtype=np.uint8)
LABELS = RANDOM.integers(CLASSES, size=220)
VALIDATION = IMAGES[TRAINING:], LABELS[TRAINING:]
DATA = d.Data("noise", tf.constant(IMAGES), tf.constant(LABELS), TRAINING, SHAPE, CLASSES)


class OwnStep(keras.Sequential):
    """A network that learns to say the next class, by a training step of its own."""

    def train_step(self, data):
        return super().train_step((data[0], (data[1] + 1) % CLASSES))


def chain(*parts, kind=keras.Sequential, optimizer=None, metrics=("accuracy",)):
    """A network of these layers between pixels from 0 to 1 and a softmax; it has no Input."""
    start = [layers.Rescaling(1 / 255), layers.Flatten()]
    end = [layers.Flatten(), layers.Dense(CLASSES, activation="softmax")]
    network = kind([*start, *parts, *end])
    optimizer = optimizer or d.FusedAdam(d.LEARNING_RATE)
    network.compile(optimizer, "sparse_categorical_crossentropy", metrics=list(metrics))
    return network


def used(rate):
    """A network that has one metric twice, and was evaluated before it is trained."""
    accuracy = keras.metrics.SparseCategoricalAccuracy("accuracy")
    network = chain(layers.Dense(8), metrics=[accuracy, accuracy])
    network.evaluate(*VALIDATION, verbose=0)
    return network


SLOWING = keras.optimizers.schedules.ExponentialDecay(0.01, 2, 0.5)
ADAM = {"learning_rate": SLOWING, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.01, "clipnorm": 0.1}
ADAM |= {"weight_decay": 0.1, "gradient_accumulation_steps": 2}
OWN_NUMBERS = [{"seed": 7}, {"noise_shape": [None, 1]}]
BUILD = d.build_network
NETWORKS = {  # each at rate 0.4; Keras's own parts draw the random numbers
    "layer": lambda rate: BUILD("layer", 0.0, SHAPE, CLASSES),
    "batch": lambda rate: BUILD("batch", 0.0, SHAPE, CLASSES),
    "own numbers": lambda rate: chain(*(d.PairedDropout(rate, **each) for each in OWN_NUMBERS)),
    "adam": lambda rate: chain(optimizer=d.FusedAdam(**ADAM)),
    "amsgrad": lambda rate: chain(optimizer=d.FusedAdam(0.01, beta_2=0.5, amsgrad=True)),
    "odd gradients": lambda rate: chain(layers.Embedding(10, 4), layers.Dense(8, dtype="float64")),
    "Keras's own": lambda rate: chain(layers.Dropout(rate), optimizer="adamw"),
    "state": lambda rate: chain(layers.ActivityRegularization(0.1), layers.BatchNormalization()),
    "own step": lambda rate: chain(kind=OwnStep),
    "used": used,
}


def build(monkeypatch, network, rates, seed=SEED):
    """Returns the networks of a sweep by rate: `network` makes one from a rate."""
    monkeypatch.setattr(d, "build_network", lambda _, rate, *sizes: network(rate))
    return d.build_networks("layer", seed, rates, DATA)


def train(networks, seed=SEED, sweep=None) -> dict:
    """Returns the results of two epochs of a sweep, a new one where none is named."""
    sweep = sweep or d.Sweep(networks, DATA)
    sweep.start_again(networks, seed)
    with mock.patch.object(d, "EPOCHS", 2):
        return d.train_sweep(sweep)


@pytest.mark.parametrize("name", NETWORKS)
def test_agrees_with_fit(name, monkeypatch):
    networks = build(monkeypatch, NETWORKS[name], [0.1, 0.4])
    results = train(networks)
    monkeypatch.setattr(d, "PairedDropout", layers.Dropout)
    monkeypatch.setattr(d, "FusedAdam", keras.optimizers.Adam)
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, "layer", layers.LayerNormalization)
    keras.utils.set_random_seed(SEED)
    theirs = NETWORKS[name](0.4)
    orders = [np.random.default_rng([SEED, epoch]).permutation(TRAINING) for epoch in (1, 2)]
    batches = ((IMAGES[part], LABELS[part]) for order in orders for part in np.split(order, [128]))
    options = {"epochs": 2, "steps_per_epoch": 2, "validation_batch_size": 128, "verbose": 0}
    fitted = theirs.fit(batches, validation_data=VALIDATION, **options).history
    for measure in ("loss", "accuracy", "val_loss", "val_accuracy"):
        np.testing.assert_allclose(results[measure][1], fitted[measure], 1e-4, 1e-6)
    ours = networks[0.4]
    accuracy = ours.evaluate(IMAGES[:TRAINING], LABELS[:TRAINING], verbose=0)[1]
    np.testing.assert_allclose(results["accuracy_dropout_off"][1], [np.nan, accuracy], 1e-6)
    for pair in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(*pair, 1e-3, 1e-5)


@pytest.mark.parametrize(("normalization", "axis"), [("layer", 1), ("batch", 0)])
@mock.patch.multiple(d, HIDDEN_UNITS=16, LEARNING_RATE=0.002)
def test_the_default_network_computes_what_it_should(normalization, axis):
    """Normalization, tanh and softmax, written out."""
    network = d.build_network(normalization, 0.0, SHAPE, CLASSES)
    network.set_weights([RANDOM.normal(size=weight.shape) for weight in network.get_weights()])
    scale, shift, kernel, bias, last_kernel, last_bias = map(np.array, network.trainable_weights)
    x = IMAGES.reshape(220, 64) / 255
    x = (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 0.001)
    logits = np.tanh((x * scale + shift) @ kernel + bias) @ last_kernel + last_bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network(IMAGES, training=True), expected, 1e-3, 1e-5)
    assert kernel.shape == (64, 16) and isinstance(network.optimizer, d.FusedAdam)
    assert float(network.optimizer.learning_rate) == pytest.approx(0.002)


def test_numbers_depend_on_nothing_but_the_seed(monkeypatch):
    def network(rate):
        without_seed = [tf.random.normal, keras.random.normal, lambda shape: np.random.rand()]
        noise = layers.Lambda(lambda x: x + 0.1 * sum(draw([]) for draw in without_seed))
        parts = [noise, layers.BatchNormalization(), layers.GaussianDropout(rate)]
        return chain(*parts, d.PairedDropout(rate))

    first, second, alone = (build(monkeypatch, network, [0.0, 0.5], seed) for seed in (3, 4, 4))
    sweep = d.Sweep(first, DATA)
    history = train(first, 3, sweep)
    again = train(second, 4, sweep)
    np.random.rand()
    np.testing.assert_equal(train(alone, 4), again)
    assert (history["loss"] != again["loss"]).all()


def test_all_rates_start_from_the_weights_that_keras_gives_the_highest(monkeypatch):
    def network(rate):
        dropout = [layers.Dropout(rate)] if rate else []  # it takes a random number
        return chain(*dropout, layers.Dense(16), layers.Dense(8 + int(10 * rate)))

    zero, highest = build(monkeypatch, network, [0.0, 0.5]).values()
    keras.utils.set_random_seed(SEED)
    alone = network(0.5)
    alone.build([None, *SHAPE])
    np.testing.assert_equal(highest.get_weights(), alone.get_weights())
    np.testing.assert_equal(zero.get_weights()[:2], alone.get_weights()[:2])


def test_dropout_drops_its_share_paired_and_anew_at_every_call_step_and_seed():
    rates = [0.0, 0.2, 0.5]
    dropouts = [d.PairedDropout(rate) for rate in rates]
    signature = [tf.TensorSpec([None, 300])] + 2 * [tf.TensorSpec([], tf.int64)]

    @tf.function(input_signature=signature, autograph=False)
    def drop(ones, seed, step):
        kept = []
        for layer in dropouts:
            with d.PairedDropout.share_numbers(seed, step, tf.shape(ones)[0]):
                kept.append([layer(ones, training=True), layer(ones, training=True)])
        return kept

    values = [drop(np.ones([64, 300]), *which) for which in ((3, 1), (3, 2), (4, 1), (3, 1))]
    np.testing.assert_array_equal(values[0], values[3])
    zero, low, high = np.moveaxis(values[:3], 1, 0).reshape(3, 6, 64 * 300)
    for rate, masked in zip(rates, (zero, low, high)):
        assert (masked == 0).mean() == pytest.approx(rate, abs=0.006)
        np.testing.assert_allclose(masked[masked != 0], 1 / (1 - rate), rtol=1e-6)
    assert (high[low == 0] == 0).all()
    for one, other in itertools.combinations(high == 0, 2):
        assert (one & other).mean() == pytest.approx(0.25, abs=0.012)


def test_a_sweep_shares_one_seed_and_step_in_each_batch(monkeypatch):
    sweep = d.Sweep(build(monkeypatch, lambda rate: chain(), [0.0, 0.5]), DATA)
    spy = mock.Mock(wraps=d.PairedDropout.share_numbers)
    monkeypatch.setattr(d.PairedDropout, "share_numbers", spy)
    sweep.run_eagerly = True
    train(sweep.networks, SEED, sweep)
    shared = [(*call.args, *call.kwargs.values()) for call in spy.call_args_list]
    steps = [(SEED, 1, 128), (SEED, 2, 22), (SEED, 3, 128), (SEED, 4, 22)]
    assert [tuple(map(int, numbers)) for numbers in shared[::2]] == steps
    for numbers, others in zip(shared[::2], shared[1::2]):  # or each rate would draw its own
        assert numbers[0] is others[0] and numbers[1] is others[1]


def test_where_no_numbers_are_shared_dropout_is_kerass_own(monkeypatch):
    layer = d.PairedDropout(0.5)
    with d.PairedDropout.share_numbers(tf.constant(0), tf.constant(1), tf.constant(5)):
        assert layer(tf.ones([1, 7]), training=True).shape == (1, 7)  # it is no batch of five
    networks = build(monkeypatch, lambda rate: chain(layer), [0.5])
    monkeypatch.setattr(networks[0.5], "compute_loss", lambda *_, **__: 1 / 0)
    pytest.raises(ZeroDivisionError, train, networks)
    network = chain(layer)
    network.fit(IMAGES, LABELS, verbose=0)
    assert int(network.optimizer.iterations) == 7


def test_callbacks_can_end_a_sweep_and_cannot_change_learning_rates(monkeypatch):
    networks = build(monkeypatch, lambda rate: chain(), [0.0, 0.5])
    stop = keras.callbacks.LambdaCallback(lambda *_: setattr(stop.model, "stop_training", True))
    monkeypatch.setattr(d, "EachEpoch", lambda: stop)
    results = train(networks)
    is_empty = np.isnan(list(results.values()))  # [names, rates, epochs]
    assert is_empty[..., 1].all() and not is_empty[..., 0].any()
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    monkeypatch.setattr(d, "EachEpoch", lambda: schedule)
    pytest.raises((AttributeError, ValueError), train, networks).match("learning_rate|optimizer")


def test_networks_that_cannot_be_compared_are_refused(monkeypatch):
    no_loss = chain()
    no_loss.get_metrics_result = lambda: {"accuracy": 0.0}
    dense = layers.Dense(9)
    adam = keras.optimizers.Adam()
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    refused = [
        (lambda rate: chain(dense), "share .*kernel"),
        (lambda rate: chain(optimizer=adam), "share adam.*/iteration"),
        (lambda rate: chain(metrics=[accuracy]), "share accuracy"),
        (lambda rate: chain(metrics=["acc"]), "measures .*'acc'"),
        (lambda rate: no_loss, r"measures \['accuracy'\]"),
    ]
    for network, sentence in refused:
        pytest.raises(SystemExit, build, monkeypatch, network, [0.0, 0.5]).match(sentence)


@mock.patch.multiple(d, NORMALIZATIONS=["layer", "odd"], train_sweep=None)
def test_a_later_normalization_that_cannot_be_built_ends_the_run_at_once(monkeypatch):
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, "odd", lambda: layers.GroupNormalization(groups=7))
    pytest.raises(ValueError, d.run_sweeps, [0.5], DATA, {}, None).match("groups")
