"""What may be said of the rates: simulated sweeps, of which the truth is known."""

import re

import numpy as np
import pytest

from dropout_sweep import FINAL, HISTORY, ahead_since, compare_with_first, results_table

NOISE = 0.0014  # standard deviation of a rate's accuracy over the seeds, as on MNIST
SIZES = [(3, 2), (3, 40), (5, 10), (10, 40), (20, 10), (20, 40)]


def simulate(sweeps: int, seeds: int, rates: int, noise: np.ndarray | float) -> np.ndarray:
    """Returns accuracies of equal rates: float [sweeps, seeds, rates]."""
    random = np.random.default_rng([seeds, rates])
    luck = random.normal(scale=0.002, size=[sweeps, seeds, 1])  # of a seed, for all its rates
    return 0.97 + luck + noise * random.normal(size=[sweeps, seeds, rates])


@pytest.mark.parametrize("noise", [(1, 1), (1, 3), (3, 1)])  # of the first rate and of the last
@pytest.mark.parametrize("seeds, rates", SIZES)
def test_equal_rates_are_seldom_told_apart(seeds, rates, noise):
    sweeps = simulate(2_000, seeds, rates, NOISE * np.linspace(*noise, rates))
    found = 0
    for sweep in sweeps.round(4):  # 10,000 images
        mean, half_width = compare_with_first(sweep)
        assert mean[0] == half_width[0] == 0
        found += (abs(mean) > half_width).any()
    assert (60 if noise == (1, 1) else 1) <= found <= 160


def test_a_gain_as_on_mnist_is_found():
    sweeps = simulate(100, 20, 10, 0.0009)  # a difference then varies by 0.13 points
    sweeps[..., 2] += 0.0019
    sweeps[..., 9] -= 0.0019
    found = 0
    for sweep in sweeps.round(4):
        mean, half_width = compare_with_first(sweep)
        found += mean[2] > half_width[2] and mean[9] < -half_width[9]
    assert found >= 95


# For two rates this is Student's t; the others are simulations of 50,000 sweeps by other code.
CRITICAL = {
    (3, 2): 4.303,
    (20, 2): 2.093,
    (3, 10): 13.1,
    (5, 10): 5.3,
    (10, 10): 3.53,
    (20, 10): 3.04,
}


@pytest.mark.parametrize("seeds, rates", CRITICAL)
def test_intervals_are_as_wide_as_they_should_be(seeds, rates):
    (sweep,) = simulate(1, seeds, rates, NOISE)
    differences = sweep - sweep[:, :1]
    mean, half_width = compare_with_first(sweep)
    np.testing.assert_allclose(mean, differences.mean(axis=0), atol=1e-12)
    errors = half_width[1:] / (differences.std(axis=0, ddof=1)[1:] / seeds**0.5)
    np.testing.assert_allclose(errors, CRITICAL[seeds, rates], rtol=0.02)


def test_under_three_seeds_nothing_is_told_apart():
    values = np.array([[0.9, 0.95, 0.1], [0.9, 0.96, 0.12]])
    for seeds in (1, 2):
        mean, half_width = compare_with_first(values[:seeds])
        np.testing.assert_allclose(mean, (values - values[:, :1])[:seeds].mean(axis=0))
        assert half_width.tolist() == [0, np.inf, np.inf]


def test_where_all_seeds_have_the_same_difference_nothing_is_told_apart():
    values = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.31], [0.7, 0.6, 0.5]])
    mean, half_width = compare_with_first(values)
    np.testing.assert_allclose(mean, [0, -0.1, -0.1967], atol=1e-4)
    assert half_width[1] == np.inf and 0 < half_width[2] < 1


MEANS = [  # of validation accuracy, [epochs, rates]
    [0.95, 0.90, 0.97, 0.95, 0.97, 0.8],
    [0.95, 0.97, 0.94, 0.95, 0.95, 0.8],
    [0.95, 0.98, 0.97, 0.95, 0.90, 0.8],
    [0.95, 0.98, 0.97, 0.95, 0.90, 0.8],
]


def table(seeds: int) -> list[str]:
    """Returns the lines of the table of such results."""
    means = np.array(MEANS)
    noise = np.random.default_rng(1).normal(scale=0.001, size=[seeds, 6, 4])
    history = np.zeros([seeds, 6, 4], HISTORY)
    history["val_accuracy"] = means.T + noise
    history["accuracy"] = 0.5
    final = np.zeros(history.shape[:2], FINAL)
    final["val_accuracy"] = history["val_accuracy"][..., -1]
    final["accuracy_dropout_off"] = 0.75
    return results_table([row / 10 for row in range(6)], history, final).splitlines()


def test_the_table_says_what_is_better_and_since_when():
    head, *rows = table(9)
    assert head.split() == ["rate", "training", "dropout", "off", "validation", "difference"]
    ahead = "better, ahead since epoch"
    ends = ["", f"{ahead} 2", f"{ahead} 3", "", "worse", "worse"]
    for number, (row, end) in enumerate(zip(rows, ends, strict=True)):
        cells = row.split()
        assert cells[:3] == [str(number / 10), "0.00", "75.00"] and len(row) <= 90
        assert abs(float(cells[3]) - 100 * MEANS[3][number]) < 0.1
        assert " ".join(cells[7:]) == end
        assert number == 0 or abs(float(cells[4]) - 100 * (MEANS[3][number] - 0.95)) < 0.15


def test_the_table_of_two_seeds_compares_nothing():
    assert not re.search("±|better|worse|difference", "".join(table(2)))


def test_the_epoch_from_which_a_rate_stays_ahead():
    cases = {(1, 1): 1, (0, 1): 2, (1, -1, 1): 3, (-1, 1, 1): 2, (1, 0, 1, 1): 3}
    assert [ahead_since(np.array(each)) for each in cases] == list(cases.values())
