"""No test: how much of a gain is the luck of the seeds, how much that of the 10,000 images?

    MNIST_NPZ=mnist.npz python tests/measure_images.py

trains rates 0.0, 0.2 and 0.5 from twenty seeds for ten epochs and prints, for each difference from
rate 0.0 in percentage points, the standard error of other seeds alone, and that of other seeds and
other images. Three minutes on two cores.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
import tensorflow as tf

import dropout_sweep

RATES = [0.0, 0.2, 0.5]
SEEDS = range(20)
EPOCHS = 10


def standard_errors(differences: np.ndarray) -> tuple[float, float]:
    """Returns those of the grand mean, seeds alone and seeds with images: float [seeds, images].

    A two-way analysis of variance, both factors random, without replication.
    """
    seeds, images = differences.shape
    mean = differences.mean()
    by_seed = differences.mean(axis=1, keepdims=True)
    by_image = differences.mean(axis=0, keepdims=True)
    rest = differences - by_seed - by_image + mean
    seed_square = images * by_seed.var(ddof=1)
    image_square = seeds * by_image.var(ddof=1)
    rest_square = (rest**2).sum() / ((seeds - 1) * (images - 1))
    size = seeds * images
    both = (seed_square + image_square - rest_square) / size
    return (seed_square / size) ** 0.5, both**0.5


def main() -> None:
    tf.config.threading.set_intra_op_parallelism_threads(1)
    dropout_sweep.DATA_FILE = os.environ["MNIST_NPZ"]
    _, arrays = dropout_sweep.load_data()
    train_images, train_labels, test_images, test_labels = map(tf.constant, arrays)
    right = []
    for seed in SEEDS:
        networks = dropout_sweep.build_networks("layer", seed, RATES, train_images.shape[1], 10)
        sweep = dropout_sweep.Sweep(networks, seed)
        for epoch in range(1, EPOCHS + 1):
            indices = np.random.default_rng([seed, epoch]).permutation(len(train_images))
            sweep.train_epoch(train_images, train_labels, indices, epoch)
        outputs = [network(dropout_sweep.scale_pixels(test_images)) for network in networks]
        right.append(tf.argmax(outputs, axis=-1) == test_labels)
        print(f"seed {seed}", flush=True)
    percent = 100 * np.array(right, float)  # [seeds, rates, images]
    for row, rate in enumerate(RATES[1:], start=1):
        differences = percent[:, row] - percent[:, 0]
        by_seeds, by_both = standard_errors(differences)
        print(f"rate {rate}: {differences.mean():+.3f}, standard error {by_seeds:.3f} by seeds,")
        print(f"    {by_both:.3f} by seeds and images")


if __name__ == "__main__":
    main()
