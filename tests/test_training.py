"""The networks and their training, in one process."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import dropout_sweep

SEED, UNITS, BATCH_SIZE, EPOCHS = 3, 16, 64, 2
NORMALIZATIONS = ["layer", "batch", None]


@pytest.fixture(scope="module")
def data(digits) -> dropout_sweep.Data:
    return dropout_sweep.load_data(digits)[0]


def build(normalization, rates, data) -> list[keras.Sequential]:
    pixels = data.train_images.shape[1]
    return [
        dropout_sweep.build_network(normalization, rate, SEED, pixels, UNITS, data.classes)
        for rate in rates
    ]


def train(networks, data) -> tuple[np.ndarray, np.ndarray]:
    """Trains the networks side by side; returns the accuracies, float [epochs, networks]."""
    moments = [dropout_sweep.make_moments(network) for network in networks]
    train = dropout_sweep.make_train_function(networks, moments, BATCH_SIZE, 0.001, SEED)
    test = dropout_sweep.make_test_function(networks)
    size = len(data.train_labels)
    batches = -(-size // BATCH_SIZE)
    accuracies, val_accuracies = [], []
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, epoch + 1]).permutation(size)
        correct = train(data.train_images, data.train_labels, order, epoch * batches)
        accuracies.append(correct / size)
        val_accuracies.append(test(data.test_images, data.test_labels) / len(data.test_labels))
    return np.array(accuracies), np.array(val_accuracies)


def weights(network) -> list[np.ndarray]:
    return [variable.numpy() for variable in network.variables if "seed" not in variable.path]


@pytest.mark.parametrize(
    "normalization, first",
    [
        ("layer", [keras.layers.LayerNormalization]),
        ("batch", [keras.layers.BatchNormalization]),
        (None, []),
    ],
)
def test_layers(normalization, first, data):
    (network,) = build(normalization, [0.3], data)
    kinds = [*first, keras.layers.Dropout, dropout_sweep.Dense, dropout_sweep.Dense]
    assert len(network.layers) == len(kinds)
    assert all(isinstance(layer, kind) for layer, kind in zip(network.layers, kinds))
    dropout, hidden, output = network.layers[-3:]
    assert dropout.rate == 0.3
    assert hidden.kernel.shape == (UNITS, 784) and hidden.activation is keras.activations.tanh
    assert output.kernel.shape == (10, UNITS) and output.activation is keras.activations.softmax


def test_rates_start_from_the_same_weights_and_seeds_from_others(data):
    for pair in zip(*[weights(network) for network in build("layer", [0.0, 0.9], data)]):
        np.testing.assert_array_equal(*pair)
    pixels = data.train_images.shape[1]
    other = dropout_sweep.build_network("layer", 0.0, SEED + 1, pixels, UNITS, data.classes)
    kernel = other.layers[-2].kernel.numpy()
    assert not np.array_equal(kernel, build("layer", [0.0], data)[0].layers[-2].kernel.numpy())


@pytest.mark.parametrize("rate", [0.0, 0.3, 0.9, 0.99999])
def test_dropout_drops_its_share_and_scales_the_rest(rate):
    noise = dropout_sweep.draw_noise([500, 784], [0, 0])
    outputs = dropout_sweep.drop(tf.ones([500, 784]), rate, noise).numpy()
    assert (outputs == 0).mean() == pytest.approx(rate, abs=0.003)
    np.testing.assert_allclose(outputs[outputs != 0], 1 / (1 - rate), rtol=1e-6)


@pytest.mark.parametrize("shape", [[3, 5], [128, 784]])
def test_noise_is_uniform_and_depends_on_the_seed(shape):
    noise = [dropout_sweep.draw_noise(shape, [0, number]).numpy() for number in (0, 0, 1)]
    assert (noise[0].shape, noise[0].dtype) == (tuple(shape), np.uint16)
    np.testing.assert_array_equal(noise[0], noise[1])
    assert not np.array_equal(noise[0], noise[2])
    if noise[0].size > 1000:
        counts = np.histogram(noise[0], 16, (0, 65_536))[0]
        chi_squared = ((counts - counts.mean()) ** 2 / counts.mean()).sum()
        assert chi_squared < 37.7  # 99.9 % of uniform draws, at 15 degrees of freedom
        neighbours = np.corrcoef(noise[0].ravel()[:-1], noise[0].ravel()[1:])[0, 1]
        assert abs(neighbours) < 0.01


def test_what_a_low_rate_drops_a_higher_one_drops_too():
    noise = dropout_sweep.draw_noise([50, 784], [0, 0])
    low, high = (dropout_sweep.drop(tf.ones([50, 784]), rate, noise).numpy() for rate in (0.2, 0.3))
    assert np.all(high[low == 0] == 0)


def test_dropout_acts_in_training_and_not_in_validation(data):
    networks = build(None, [0.0, 0.9], data)
    train(networks[:1], data)
    for ours, theirs in zip(networks[1].trainable_variables, networks[0].trainable_variables):
        ours.assign(theirs)
    # The same trained weights in both, and a learning rate of 0: dropout makes the difference.
    moments = [dropout_sweep.make_moments(network) for network in networks]
    count = dropout_sweep.make_train_function(networks, moments, BATCH_SIZE, 0.0, SEED)
    test = dropout_sweep.make_test_function(networks)
    order = np.arange(len(data.train_labels))
    on = count(data.train_images, data.train_labels, order, 0).numpy()
    off = test(data.train_images, data.train_labels).numpy()
    assert on[0] == off[0] == off[1] and on[1] < off[1] - 50


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_trained_together_is_trained_alone_to_the_last_bit(normalization, data):
    rates = [0.0, 0.2, 0.5, 0.9]
    together = build(normalization, rates, data)
    accuracies = train(together, data)
    for row, rate in enumerate(rates):
        (alone,) = build(normalization, [rate], data)
        for column, alone_column in zip(accuracies, train([alone], data)):
            np.testing.assert_array_equal(column[:, [row]], alone_column)
        for pair in zip(weights(together[row]), weights(alone)):
            np.testing.assert_array_equal(*pair)


class NoiseDropout(keras.layers.Dropout):
    """Dropout with the sweep's random numbers, which follow the two draws of the weights."""

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        seed = self.seed_generator.next() + [0, 2]
        noise = dropout_sweep.draw_noise(tf.shape(inputs), seed)
        kept = tf.cast(noise, tf.float32) / 65_536 >= self.rate
        return tf.where(kept, inputs / (1 - self.rate), 0.0)


@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_agrees_with_plain_keras(normalization, rate, data):
    """Keras's own normalization, Adam and fit, over the same batches from the same weights."""
    (network,) = build(normalization, [rate], data)
    plain = {
        "layer": [keras.layers.LayerNormalization],
        "batch": [keras.layers.BatchNormalization],
        None: [],
    }[normalization]
    reference = keras.Sequential(
        [
            keras.Input([data.train_images.shape[1]]),
            *[layer() for layer in plain],
            NoiseDropout(rate, seed=SEED),
            keras.layers.Dense(UNITS, activation="tanh"),
            keras.layers.Dense(data.classes, activation="softmax"),
        ]
    )
    # Keras's dense layers have their kernels the other way round.
    reference.set_weights([variable.T for variable in network.get_weights()])
    reference.compile(
        loss="sparse_categorical_crossentropy", optimizer="adam", metrics=["accuracy"]
    )
    accuracies, val_accuracies = train([network], data)
    for epoch in range(EPOCHS):
        order = np.random.default_rng([SEED, epoch + 1]).permutation(len(data.train_labels))
        history = reference.fit(
            data.train_images[order].astype("float32") / 255,
            data.train_labels[order],
            batch_size=BATCH_SIZE,
            shuffle=False,
            validation_data=(data.test_images.astype("float32") / 255, data.test_labels),
            verbose=0,
        ).history
        assert history["accuracy"][0] == pytest.approx(accuracies[epoch, 0], abs=0.0021)
        assert history["val_accuracy"][0] == pytest.approx(val_accuracies[epoch, 0], abs=0.0034)
    for ours, theirs in zip(weights(network), weights(reference)):
        np.testing.assert_allclose(ours.T, theirs, atol=1e-4)


def test_every_operation_of_a_step_has_a_gpu_kernel(data):
    from tensorflow.python.framework import kernels

    def on_gpu(operation: str) -> bool:
        kernel_list = kernels.get_registered_kernels_for_op(operation).kernel
        return not kernel_list or any(
            kernel.device_type in ("GPU", "DEFAULT") for kernel in kernel_list
        )

    if not on_gpu("MatMul"):
        pytest.skip("this TensorFlow is built without GPU kernels")
    names = set()
    for normalization in NORMALIZATIONS:
        networks = build(normalization, [0.0, 0.5], data)
        moments = [dropout_sweep.make_moments(network) for network in networks]
        function = dropout_sweep.make_train_function(networks, moments, BATCH_SIZE, 0.001, SEED)
        graph = function.get_concrete_function().graph.as_graph_def()
        for nodes in [graph.node, *[body.node_def for body in graph.library.function]]:
            names |= {node.op for node in nodes}
    assert "ResourceApplyAdam" in names and "StatelessRandomUniformFullIntV2" in names
    assert [name for name in sorted(names) if not on_gpu(name)] == []
