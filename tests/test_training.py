"""The networks train as Keras trains them, whatever a reader puts into `build_network`."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropout_sweep as d

SEED, SHAPE, CLASSES, BATCH = 3, (8, 8), 10, 32
layers = keras.layers


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(d, "BATCH_SIZE", BATCH)
    monkeypatch.setattr(d, "HIDDEN_UNITS", 16)
    monkeypatch.setattr(d, "LEARNING_RATE", 0.002)


@pytest.fixture(scope="module")
def data() -> list[tf.Tensor]:
    """Dark and bright images, which the labels fit a little: 150 to train on, 70 to validate."""
    random = np.random.default_rng(0)
    arrays = []
    for size in (150, 70):
        labels = random.integers(CLASSES, size=size)
        images = random.integers(256, size=(size, *SHAPE), dtype=np.uint8)
        images[np.arange(size), labels % 8] //= 4
        arrays += [images, labels]
    return [tf.constant(array) for array in arrays]


def compiled(network, optimizer=None, loss="sparse_categorical_crossentropy", metrics="accuracy"):
    metrics = [metrics] if isinstance(metrics, str) else metrics
    network.compile(optimizer or d.FusedAdam(d.LEARNING_RATE), loss, metrics=metrics)
    return network


def chain(*parts, **how):
    """A network of these layers between pixels from 0 to 1 and a softmax."""
    ends = [layers.Dense(CLASSES, activation="softmax")]
    start = [keras.Input(SHAPE), layers.Rescaling(1 / 255), layers.Flatten()]
    return compiled(keras.Sequential([*start, *parts, *ends]), **how)


class GuidesStep(keras.Model):
    """A model without `keras.Input`, with the training step of Keras's guide."""

    def __init__(self, rate):
        super().__init__()
        self.normalization = d.SharedLayerNormalization()
        self.dropout = layers.GaussianDropout(rate)
        self.dense = layers.Dense(CLASSES, "softmax")

    def call(self, images, training=False):
        x = keras.ops.reshape(keras.ops.cast(images, "float32"), (-1, 64))
        return self.dense(self.dropout(self.normalization(x), training=training))

    def train_step(self, data):
        x, y = data
        with tf.GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = self.compute_loss(y=y, y_pred=y_pred)
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, trainable_variables=self.trainable_variables)
        for metric in self.metrics:
            if metric.name == "loss":
                metric.update_state(loss)
            else:
                metric.update_state(y, y_pred)
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
NETWORKS = {  # each at rate 0.4; Keras's own parts draw the random numbers
    "layer": lambda rate: BUILD("layer", 0.0, SHAPE, CLASSES),
    "batch": lambda rate: BUILD("batch", 0.0, SHAPE, CLASSES),
    "dropout with settings": lambda rate: chain(
        d.PairedDropout(rate, noise_shape=[None, 1]), d.PairedDropout(rate, seed=7)
    ),
    "other axes": lambda rate: chain(
        layers.Reshape(SHAPE), d.SharedLayerNormalization(axis=[1, 2]), layers.Flatten()
    ),
    "no center": lambda rate: chain(d.SharedLayerNormalization(epsilon=0.1, center=False)),
    "adam": lambda rate: chain(
        optimizer=d.FusedAdam(SLOWING, 0.8, 0.9, 0.01, weight_decay=0.1, clipnorm=0.1)
    ),
    "amsgrad": lambda rate: chain(optimizer=d.FusedAdam(0.01, amsgrad=True)),
    "averages": lambda rate: chain(optimizer=d.FusedAdam(0.01, use_ema=True, ema_momentum=0.8)),
    "sparse gradients": lambda rate: chain(layers.Embedding(10, 4), layers.Flatten()),
    "float64": lambda rate: chain(layers.Dense(8, dtype="float64")),
    "float16": lambda rate: chain(d.SharedLayerNormalization(dtype="float16"), optimizer="sgd"),
    "Keras's own": lambda rate: chain(layers.Dropout(rate), optimizer="adamw", metrics="acc"),
    "state": lambda rate: chain(Remembers(), layers.BatchNormalization()),
    "guide": lambda rate: compiled(GuidesStep(rate)),
    "convolution": convolution,
}


def build(monkeypatch, network, rates, normalization="layer", seed=SEED):
    """Returns the networks of a sweep: `network` makes one from a rate."""
    monkeypatch.setattr(d, "build_network", lambda _, rate, *sizes: network(rate))
    return d.build_networks(normalization, seed, rates, SHAPE, CLASSES)


def train(sweep, data, seed=SEED, epochs=2) -> np.ndarray:
    """Returns loss, accuracy, val_loss, val_accuracy by epoch, float [epochs, 4, rates]."""
    history = []
    for epoch in range(1, epochs + 1):
        sweep.train_epoch(np.arange(len(data[0])), seed, epoch)
        training = d.read_metrics(sweep.networks)
        sweep.test_epoch(*data[2:])
        history.append(np.concatenate([training, d.read_metrics(sweep.networks)]))
    return np.array(history)


def weights(network) -> list[np.ndarray]:
    return [tf.cast(weight.value, tf.float64).numpy() for weight in network.weights]


KERAS_PARTS = {
    "PairedDropout": layers.Dropout,
    "FusedAdam": keras.optimizers.Adam,
    "SharedLayerNormalization": layers.LayerNormalization,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_agrees_with_fit(name, data, monkeypatch):
    networks = build(monkeypatch, NETWORKS[name], [0.4])
    history = train(d.Sweep(networks, *data[:2]), data)[..., 0]
    for part, keras_part in KERAS_PARTS.items():
        monkeypatch.setattr(d, part, keras_part)
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, "layer", layers.LayerNormalization)
    keras.utils.set_random_seed(SEED)
    network = NETWORKS[name](0.4)
    pairs = (tuple(data[:2]), tuple(data[2:]))
    sets = [tf.data.Dataset.from_tensor_slices(pair).batch(BATCH) for pair in pairs]
    fitted = network.fit(sets[0], epochs=2, verbose=0, validation_data=sets[1]).history
    accuracy = "acc" if "acc" in fitted else "accuracy"
    names = ["loss", accuracy, "val_loss", f"val_{accuracy}"]
    networks[0].optimizer.finalize_variable_values(networks[0].trainable_variables)
    np.testing.assert_allclose(history, np.transpose([fitted[n] for n in names]), 1e-4, 1e-6)
    for ours, theirs in zip(weights(networks[0]), weights(network), strict=True):
        np.testing.assert_allclose(ours, theirs, 1e-3, 1e-5)


def test_the_default_network_computes_what_it_should(data):
    """Layer normalization, tanh and softmax, written out."""
    network = d.build_network("layer", 0.5, SHAPE, CLASSES)
    for weight in network.weights:
        weight.assign(np.random.default_rng(0).normal(size=weight.shape))
    scale, shift, kernel, bias, last_kernel, last_bias = weights(network)
    x = data[0].numpy().reshape(150, 64) / 255
    x = (x - x.mean(axis=1, keepdims=True)) / np.sqrt(x.var(axis=1, keepdims=True) + 0.001)
    logits = np.tanh((x * scale + shift) @ kernel + bias) @ last_kernel + last_bias
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(network.predict(data[0], verbose=0), expected, 1e-3, 1e-5)
    assert kernel.shape == (64, d.HIDDEN_UNITS) and network.layers[3].rate == 0.5
    assert float(network.optimizer.learning_rate) == pytest.approx(d.LEARNING_RATE)
    assert isinstance(network.optimizer, d.FusedAdam)


def test_each_normalization_does_what_its_name_says(data):
    x = np.float32(data[0]).reshape(150, 64)
    made = {
        name: np.array(make()(x, training=True)) for name, make in d.NORMALIZATION_LAYERS.items()
    }
    np.testing.assert_array_equal(made[None], x)
    for name, axis in (("layer", 1), ("batch", 0)):
        np.testing.assert_allclose(made[name].mean(axis=axis), 0, atol=1e-4)
        np.testing.assert_allclose(made[name].std(axis=axis), 1, atol=1e-3)


def default(rate):
    return chain(layers.BatchNormalization(), d.PairedDropout(rate), layers.Dense(16, "tanh"))


def test_trained_together_is_trained_alone_to_the_last_bit(data, monkeypatch):
    together = build(monkeypatch, default, [0.0, 0.2, 0.5])
    history = train(d.Sweep(together, *data[:2]), data)
    fewer = build(monkeypatch, default, [0.0, 0.5])  # the last rate gives its weights to all
    np.testing.assert_array_equal(train(d.Sweep(fewer, *data[:2]), data), history[..., [0, 2]])
    for network, other in zip(fewer, [together[0], together[2]]):
        for pair in zip(weights(network), weights(other), strict=True):
            np.testing.assert_array_equal(*pair)


class Draws(keras.Layer):
    """A layer whose random numbers have no seed."""

    def call(self, inputs):
        noise = tf.random.normal(tf.shape(inputs))
        if not keras.__version__.startswith("3.5."):  # it does not reset its own
            noise += keras.random.normal(keras.ops.shape(inputs))
        return inputs + 0.1 * noise


def stateful(rate):
    parts = [Draws(), layers.BatchNormalization(), layers.GaussianDropout(rate), Remembers()]
    averaged = d.FusedAdam(use_ema=True)
    return chain(*parts, d.PairedDropout(rate), layers.Dense(16), optimizer=averaged)


def test_nothing_of_one_seed_reaches_the_next(data, monkeypatch):
    sweep = d.Sweep(build(monkeypatch, stateful, [0.0, 0.5]), *data[:2])
    first = train(sweep, data)
    sweep.start_again(build(monkeypatch, stateful, [0.0, 0.5], seed=SEED + 1))
    history = train(sweep, data, SEED + 1)
    fresh = d.Sweep(build(monkeypatch, stateful, [0.0, 0.5], seed=SEED + 1), *data[:2])
    np.testing.assert_array_equal(train(fresh, data, SEED + 1), history)
    assert not (first == history).all(axis=(0, 1)).any()


def test_all_rates_start_from_the_weights_that_keras_gives_the_highest(monkeypatch):
    def network(rate):
        dropout = [layers.Dropout(rate)] if rate else []
        units = layers.Dense(round(9 / (1 - rate)))
        return chain(*dropout, layers.Dense(16), units, layers.Dense(16))

    zero, high = build(monkeypatch, network, [0.0, 0.5])
    keras.utils.set_random_seed(SEED)
    for ours, theirs in zip(weights(high), weights(network(0.5)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    keras.utils.set_random_seed(SEED)
    alone = weights(network(0.0))
    for place, (ours, theirs) in enumerate(zip(weights(zero), weights(high), strict=True)):
        other_shape = ours.shape != theirs.shape
        np.testing.assert_array_equal(ours, alone[place] if other_shape else theirs)
    assert not np.array_equal(weights(zero)[0], alone[0])
    assert not np.array_equal(weights(build(monkeypatch, network, [0.5], seed=4)[0])[0], alone[0])


class Keeps(keras.Layer):
    """Keeps what dropout makes of ones in this step and the one before."""

    def __init__(self, rate):
        super().__init__()
        self.dropout = d.PairedDropout(rate)
        shape = [2, 2, BATCH, 600]  # steps, calls, images, units
        self.kept = self.add_weight(shape=shape, initializer="zeros", trainable=False)

    def call(self, inputs, training=False):
        ones = tf.ones([tf.shape(inputs)[0], 600])
        calls = tf.stack([self.dropout(ones, training=training) for _ in range(2)])
        self.kept.assign(tf.stack([self.kept[1], calls]))
        return inputs + 0 * tf.reduce_mean(calls)


def test_dropout_drops_its_share_paired_and_anew_at_every_call_step_and_seed(monkeypatch):
    images = tf.zeros([2 * BATCH, *SHAPE], tf.uint8)
    labels = tf.zeros([2 * BATCH], tf.int64)
    rates = [0.0, 0.2, 0.5]
    kept = []
    for seed in (SEED, SEED, SEED + 1):
        networks = build(monkeypatch, lambda rate: chain(Keeps(rate)), rates)
        sweep = d.Sweep(networks, images, labels)
        sweep.train_epoch(np.arange(2 * BATCH), seed, 1)
        kept.append(np.array([network.layers[2].kept for network in networks]))
    np.testing.assert_array_equal(kept[0], kept[1])
    for rate, values in zip(rates, kept[0]):
        assert (values == 0).mean() == pytest.approx(rate, abs=0.006)
        np.testing.assert_allclose(values[values != 0], 1 / (1 - rate), rtol=1e-6)
    assert (kept[0][2][kept[0][1] == 0] == 0).all()  # what is dropped at 0.2 is dropped at 0.5
    masks = [kept[0][2, step, call] == 0 for step, call in itertools.product(range(2), range(2))]
    masks.append(kept[2][2, 0, 0] == 0)
    for one, other in itertools.combinations(masks, 2):
        assert (one & other).mean() == pytest.approx(0.25, abs=0.012)
    # Outside of a sweep it is Keras's own.
    assert d.PairedDropout.seeds is None
    keras.utils.set_random_seed(1)
    ours = d.PairedDropout(0.5)(np.ones([9, 9]), training=True)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(ours, layers.Dropout(0.5)(np.ones([9, 9]), training=True))


def test_one_graph_has_the_fast_operations_and_walks_its_batches_in_turn(data, monkeypatch):
    networks = build(monkeypatch, default, [0.0, 0.2, 0.5])
    sweep = d.Sweep(networks, *data[:2])
    sweep.train_epoch(np.arange(150), SEED, 1)
    assert int(networks[0].optimizer.iterations) == 5  # batches of 32
    graphs = [each.get_concrete_function().graph for each in (sweep.train_epoch, sweep.test_epoch)]
    nodes = [
        node
        for graph in graphs
        for f in graph.as_graph_def().library.function
        for node in f.node_def
    ]
    nodes += [node for graph in graphs for node in graph.as_graph_def().node]
    loops = [node for node in nodes if node.op.endswith("While")]
    assert [loop.attr["parallel_iterations"].i for loop in loops] == [1, 1]
    updates = [node.name for node in nodes if node.op == "ResourceApplyAdam"]
    assert len(updates) == 3 * len(networks[0].trainable_variables)
    # One shape for the random numbers of all rates: TensorFlow draws them once.
    draws = [node for node in nodes if node.op == "StatelessRandomUniformV2"]
    packs = {node.name: node for node in nodes if node.op == "Pack"}
    sizes = {packs[draw.input[0].split(":")[0]].input[0] for draw in draws}
    assert len(draws) == 2 and len(sizes) == 1


def averaged(rate):
    optimizer = keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.8)
    return chain(layers.Dropout(rate), optimizer=optimizer)


def test_a_sweep_is_measured_as_keras_evaluates_it(data, monkeypatch, capsys):
    networks = build(monkeypatch, averaged, [0.0, 0.5])
    sweep = d.Sweep(networks, *data[:2])
    train_epoch, orders = sweep.train_epoch, []

    def spy(order, seed, epoch):
        orders.append(order)
        train_epoch(order, seed, epoch)

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
    assert len({order.tobytes() for order in orders}) == 6  # of each epoch and seed its own
    assert all((np.sort(order) == np.arange(150)).all() for order in orders)
    head, *rows = capsys.readouterr().out.splitlines()[:4]
    assert head.split() == ["epoch", "0.0", "0.5", "seconds"]
    for row, values in zip(rows, history["val_accuracy"].T, strict=True):
        assert row.split()[1:3] == [f"{100 * value:.2f}" for value in values]


def test_a_trained_network_is_saved_and_loaded(data, tmp_path, monkeypatch):
    (network,) = d.build_networks("layer", SEED, [0.5], SHAPE, CLASSES)
    train(d.Sweep([network], *data[:2]), data)
    network.save(tmp_path / "trained.keras")
    loaded = keras.models.load_model(tmp_path / "trained.keras")
    np.testing.assert_array_equal(network.predict(data[0]), loaded.predict(data[0]))
    loaded.fit(*data[:2], verbose=0)
    assert int(loaded.optimizer.iterations) == 15


OPTIMIZER = keras.optimizers.Adam()
METRIC, LAYER = keras.metrics.SparseCategoricalAccuracy(name="accuracy"), layers.Dense(9)
REFUSED = {
    "shares": lambda rate: chain(metrics=[METRIC]),
    "shares a layer": lambda rate: chain(LAYER),
    "or an optimizer": lambda rate: chain(optimizer=OPTIMIZER),
    "no accuracy": lambda rate: chain(metrics=["sparse_categorical_crossentropy"]),
}


@pytest.mark.parametrize("words", REFUSED)
def test_networks_that_cannot_be_compared_are_refused(words, data, monkeypatch):
    with pytest.raises(SystemExit, match=words):
        build(monkeypatch, REFUSED[words], [0.0, 0.5])


def test_a_later_normalization_that_cannot_be_built_ends_the_run_at_once(data, monkeypatch):
    monkeypatch.setattr(d, "NORMALIZATIONS", ["layer", "odd"])
    odd = {"odd": lambda: layers.GroupNormalization(groups=7)}
    monkeypatch.setattr(d, "NORMALIZATION_LAYERS", d.NORMALIZATION_LAYERS | odd)
    monkeypatch.setattr(d, "train_sweep", None)
    with pytest.raises(ValueError, match="groups"):
        d.run_sweeps(None, [0.5], data)
