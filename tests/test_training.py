"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

import itertools
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import Draws

import dropout_sweep as d

SEED, SHAPE, CLASSES = 3, (8, 8), 10
layers = keras.layers


@pytest.fixture(scope="module")
def data() -> list[tf.Tensor]:
    """Images and labels: 150 to train on, 70 to validate."""
    random = np.random.default_rng(0)
    labels = random.integers(CLASSES, size=220)
    images = random.integers(256, size=(220, *SHAPE), dtype=np.uint8)
    images[np.arange(220), labels % 8] //= 4  # so that there is something to learn
    arrays = (images[:150], labels[:150], images[150:], labels[150:])
    return [tf.constant(array) for array in arrays]


def compiled(network, optimizer=None, metric="accuracy"):
    optimizer = optimizer or d.FusedAdam(d.LEARNING_RATE)
    network.compile(optimizer, "sparse_categorical_crossentropy", metrics=[metric])
    return network


def chain(*parts, **settings):
    """A network of these layers between pixels from 0 to 1 and a softmax."""
    start = [keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Flatten()]
    end = [layers.Flatten(), layers.Dense(CLASSES, activation="softmax")]
    return compiled(keras.Sequential([*start, *parts, *end]), **settings)


class GuidesStep(keras.Model):
    """A model without `keras.Input`, with the training step of Keras's guide."""

    def __init__(self, rate):
        super().__init__()
        self.normalization = d.SharedLayerNormalization()
        self.dense = layers.Dense(CLASSES, "softmax")

    def call(self, images, training=False):
        x = keras.ops.reshape(keras.ops.cast(images, "float32"), (-1, 64))
        return self.dense(self.normalization(x))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, trainable_variables=self.trainable_variables)
        self.metrics[0].update_state(loss)
        self.metrics[1].update_state(y, y_pred)
        return {metric.name: metric.result() for metric in self.metrics}


class Remembers(keras.Layer):
    """A layer with a count, a mean and a loss of its own."""

    def __init__(self):
        super().__init__()
        self.calls = self.add_weight(initializer="zeros", trainable=False)
        self.mean = keras.metrics.Mean()

    def call(self, inputs):
        self.calls.assign_add(1)
        self.mean.update_state(inputs)
        self.add_loss(keras.ops.mean(inputs**2))
        return inputs / self.calls - self.mean.result()


def convolution(rate):
    parts = [keras.Input([None, None, 1]), layers.Rescaling(1 / 255), layers.Conv2D(4, 3)]
    parts += [d.PairedDropout(0.0), layers.GlobalAveragePooling2D()]
    return compiled(keras.Sequential([*parts, layers.Dense(CLASSES, "softmax")]))


BUILD = d.build_network
SLOWING = keras.optimizers.schedules.ExponentialDecay(0.01, 4, 0.5)
ADAM = {"learning_rate": SLOWING, "beta_1": 0.8, "beta_2": 0.9, "epsilon": 0.01, "clipnorm": 0.1}
NETWORKS = {  # each at rate 0.4; Keras's own parts draw the random numbers
    "layer": lambda rate: BUILD("layer", 0.0, SHAPE, CLASSES),
    "batch": lambda rate: BUILD("batch", 0.0, SHAPE, CLASSES),
    "noise shape": lambda rate: chain(d.PairedDropout(rate, noise_shape=[None, 1])),
    "seed": lambda rate: chain(d.PairedDropout(rate, seed=7)),
    "other axes": lambda rate: chain(layers.Reshape(SHAPE), d.SharedLayerNormalization([1, 2])),
    "no center": lambda rate: chain(d.SharedLayerNormalization(epsilon=0.1, center=False)),
    "float16": lambda rate: chain(d.SharedLayerNormalization(dtype="float16")),
    "adam": lambda rate: chain(optimizer=d.FusedAdam(**ADAM, weight_decay=0.1)),
    "amsgrad": lambda rate: chain(optimizer=d.FusedAdam(0.01, amsgrad=True)),
    "averages": lambda rate: chain(optimizer=d.FusedAdam(0.01, use_ema=True, ema_momentum=0.8)),
    "sparse gradients": lambda rate: chain(layers.Embedding(10, 4), layers.Flatten()),
    "float64": lambda rate: chain(layers.Dense(8, dtype="float64")),
    "Keras's own": lambda rate: chain(layers.Dropout(rate), optimizer="adamw"),
    "state": lambda rate: chain(Remembers(), layers.BatchNormalization()),
    "guide": lambda rate: compiled(GuidesStep(rate)),
    "convolution": convolution,
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


def weights(network) -> list[np.ndarray]:
    return [tf.cast(weight.value, tf.float64).numpy() for weight in network.weights]


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
    pairs = (tuple(data[:2]), tuple(data[2:]))
    sets = [tf.data.Dataset.from_tensor_slices(pair).batch(128) for pair in pairs]
    fitted = theirs.fit(sets[0], epochs=2, verbose=0, validation_data=sets[1]).history
    expected = [fitted[key] for key in ("loss", "accuracy", "val_loss", "val_accuracy")]
    np.testing.assert_allclose(history.T, expected, 1e-4, 1e-6)
    ours.optimizer.finalize_variable_values(ours.trainable_variables)
    for pair in zip(weights(ours), weights(theirs), strict=True):
        np.testing.assert_allclose(*pair, 1e-3, 1e-5)


def test_the_default_network_computes_what_it_should(data, monkeypatch):
    """Layer normalization, tanh and softmax, written out."""
    monkeypatch.setattr(d, "HIDDEN_UNITS", 16)
    monkeypatch.setattr(d, "LEARNING_RATE", 0.002)
    network = d.build_network("layer", 0.5, SHAPE, CLASSES)
    for weight in network.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    scale, shift, kernel, bias, last_kernel, last_bias = weights(network)
    x = data[0].numpy().reshape(150, 64) / 255
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 0.001)
    logits = np.tanh((x * scale + shift) @ kernel + bias) @ last_kernel + last_bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict(data[0], verbose=0), expected, 1e-3, 1e-5)
    assert kernel.shape == (64, 16) and network.layers[3].rate == 0.5
    assert isinstance(network.optimizer, d.FusedAdam)
    assert float(network.optimizer.learning_rate) == pytest.approx(0.002)


def test_each_normalization_does_what_its_name_says(data):
    x = np.float32(data[0]).reshape(150, 64)
    for name, axis in (("layer", 1), ("batch", 0)):
        normalized = np.array(d.NORMALIZATION_LAYERS[name]()(x, training=True))
        np.testing.assert_allclose(normalized.mean(axis=axis), 0, atol=1e-4)
        np.testing.assert_allclose(normalized.std(axis=axis), 1, atol=1e-3)


def stateful(rate):
    parts = [Draws(), layers.BatchNormalization(), layers.GaussianDropout(rate), Remembers()]
    return chain(*parts, d.PairedDropout(rate), optimizer=d.FusedAdam(use_ema=True))


def test_nothing_of_one_seed_reaches_the_next(data, monkeypatch):
    def networks(seed):
        return build(monkeypatch, stateful, [0.0, 0.5], seed)

    sweep = d.Sweep(networks(SEED), *data[:2])
    first = train(sweep, data)
    sweep.start_again(networks(SEED + 1))
    history = train(sweep, data, SEED + 1)
    fresh = d.Sweep(networks(SEED + 1), *data[:2])
    np.testing.assert_array_equal(train(fresh, data, SEED + 1), history)
    assert not (first == history).all(axis=(0, 1)).any()


def test_all_rates_start_from_the_weights_that_keras_gives_the_highest(monkeypatch):
    def network(rate):
        dropout = [layers.Dropout(rate)] if rate else []
        units = layers.Dense(round(9 / (1 - rate)))
        return chain(*dropout, layers.Dense(16), units, layers.Dense(16))

    def alone(rate, seed=SEED):
        keras.utils.set_random_seed(seed)
        return weights(network(rate))

    zero, high = [weights(each) for each in build(monkeypatch, network, [0.0, 0.5])]
    for ours, theirs, own, keras_own in zip(high, alone(0.5), zero, alone(0.0), strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(own, ours if own.shape == ours.shape else keras_own)
    assert not np.array_equal(zero[0], alone(0.0)[0])
    assert not np.array_equal(alone(0.0, seed=4)[0], alone(0.0)[0])


class Keeps(keras.Layer):
    """Keeps what dropout makes of ones in this step and the one before."""

    def __init__(self, rate):
        super().__init__()
        self.dropout = d.PairedDropout(rate)
        shape = [2, 2, 64, 300]  # steps, calls, images, units
        self.kept = self.add_weight(shape=shape, initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        ones = tf.ones([tf.shape(inputs)[0], 300])
        calls = tf.stack([self.dropout(ones, training=training) for _ in range(2)])
        self.kept.assign(tf.stack([self.kept[1], calls]))
        return inputs + 0 * tf.reduce_mean(calls)


def test_dropout_drops_its_share_paired_and_anew_at_every_call_step_and_seed(monkeypatch):
    monkeypatch.setattr(d, "BATCH_SIZE", 64)
    images, labels = tf.zeros([128, *SHAPE], tf.uint8), tf.zeros([128], tf.int64)
    rates, kept = [0.0, 0.2, 0.5], []
    networks = build(monkeypatch, lambda rate: chain(Keeps(rate)), rates)
    sweep = d.Sweep(networks, images, labels)
    for seed in (SEED, SEED, SEED + 1):
        sweep.train_epoch(np.arange(128), seed, 1)
        kept.append(np.array([network.layers[2].kept for network in networks]))
    np.testing.assert_array_equal(kept[0], kept[1])
    for rate, values in zip(rates, kept[0]):
        assert (values == 0).mean() == pytest.approx(rate, abs=0.006)
        np.testing.assert_allclose(values[values != 0], 1 / (1 - rate), rtol=1e-6)
    assert (kept[0][2][kept[0][1] == 0] == 0).all()  # what is dropped at 0.2 is dropped at 0.5
    masks = [mask == 0 for mask in (*kept[0][2].reshape(4, 64, 300), kept[2][2, 0, 0])]
    for one, other in itertools.combinations(masks, 2):
        assert (one & other).mean() == pytest.approx(0.25, abs=0.012)
    assert d.PairedDropout.seeds is None  # outside of a sweep it is Keras's own
    outputs = []
    for kind in (d.PairedDropout, layers.Dropout):
        keras.utils.set_random_seed(1)
        outputs.append(kind(0.5)(np.ones([9, 9]), training=True))
    np.testing.assert_array_equal(*outputs)


def test_batches_are_walked_in_turn(data, monkeypatch):
    """Or what a layer draws without a seed would depend on which batch is faster."""
    sweep = d.Sweep(build(monkeypatch, NETWORKS["layer"], [0.5]), *data[:2])
    loops = []
    for function in (sweep.train_epoch, sweep.test_epoch):
        operations = function.get_concrete_function().graph.get_operations()
        loops += [each for each in operations if each.type.endswith("While")]
    assert [loop.get_attr("parallel_iterations") for loop in loops] == [1, 1]


def test_random_numbers_have_one_shape_for_all_rates(data, monkeypatch):
    """So that TensorFlow draws them once."""
    networks = build(monkeypatch, lambda rate: chain(d.PairedDropout(rate)), [0.2, 0.5])
    sweep = d.Sweep(networks, *data[:2])
    library = sweep.train_epoch.get_concrete_function().graph.as_graph_def().library
    nodes = [node for function in library.function for node in function.node_def]
    packs = {node.name: node for node in nodes if node.op == "Pack"}
    draws = [node for node in nodes if node.op == "StatelessRandomUniformV2"]
    sizes = {packs[draw.input[0].split(":")[0]].input[0] for draw in draws}
    assert len(draws) == 2 and len(sizes) == 1


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
    assert int(loaded.optimizer.iterations) == 9


OPTIMIZER, DENSE = keras.optimizers.Adam(), layers.Dense(9)
METRIC = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
REFUSED = {
    "shares": lambda rate: chain(metric=METRIC),
    "shares layers": lambda rate: chain(DENSE),
    "or an optimizer": lambda rate: chain(optimizer=OPTIMIZER),
    'no "accuracy"': lambda rate: chain(metric="acc"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_networks_that_cannot_be_compared_are_refused(words, monkeypatch):
    with pytest.raises(SystemExit, match=words):
        build(monkeypatch, REFUSED[words], [0.0, 0.5])


def test_a_later_normalization_that_cannot_be_built_ends_the_run_at_once(data, monkeypatch):
    monkeypatch.setattr(d, "NORMALIZATIONS", ["layer", "odd"])
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, "odd", lambda: layers.GroupNormalization(groups=7))
    monkeypatch.setattr(d, "train_sweep", None)
    with pytest.raises(ValueError, match="groups"):
        d.run_sweeps(None, [0.5], data)
