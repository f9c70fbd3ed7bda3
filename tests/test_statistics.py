"""What may be said of the rates: simulated sweeps, of which the truth is known."""

import re

import numpy as np
import pytest

from dropout_sweep import FINAL, HISTORY, better_since, compare_with_first, judge, results_table

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
        judgements = judge(mean, half_width)
        found += judgements[2] == 1 and judgements[9] == -1
        assert judgements[2] != -1 and judgements[9] != 1
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


@pytest.mark.parametrize("seeds", [1, 2])
def test_under_three_seeds_nothing_is_told_apart(seeds):
    with np.errstate(all="raise"):
        mean, half_width = compare_with_first(np.array([[0.9, 0.95, 0.1]] * seeds))
    np.testing.assert_allclose(mean, [0, 0.05, -0.8])
    assert half_width.tolist() == [0, np.inf, np.inf]


def test_where_all_seeds_have_the_same_difference_nothing_is_told_apart():
    values = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.31], [0.7, 0.6, 0.5]])
    mean, half_width = compare_with_first(values)
    np.testing.assert_allclose(mean, [0, -0.1, -0.1967], atol=1e-4)
    assert half_width[1] == np.inf and 0 < half_width[2] < 1
    assert judge(mean, half_width)[:2].tolist() == [0, 0]


def table(means: list, seeds: int = 9) -> str:
    """Returns the table of validation accuracies by epoch: means [epochs, rates]."""
    means = np.array(means)
    noise = np.random.default_rng(1).normal(scale=0.001, size=[seeds, means.shape[1], len(means)])
    history = np.zeros([seeds, means.shape[1], len(means)], HISTORY)
    history["val_accuracy"] = means.T + noise
    final = np.zeros(history.shape[:2], FINAL)
    final["val_accuracy"] = history["val_accuracy"][..., -1]
    return results_table([row / 10 for row in range(means.shape[1])], history, final)


EPOCHS = [
    [0.95, 0.90, 0.97, 0.95, 0.97, 0.8],
    [0.95, 0.97, 0.95, 0.95, 0.95, 0.8],
    [0.95, 0.98, 0.97, 0.95, 0.90, 0.8],
    [0.95, 0.98, 0.97, 0.95, 0.90, 0.8],
]


def test_the_table_says_what_is_better_and_since_when():
    head, _, _, *rows, last = table(EPOCHS).splitlines()
    assert "from rate 0.0 in validation accuracy" in head
    ends = ["", "better since epoch 2", "better since epoch 3", "", "worse", "worse"]
    for row, name, end in zip(rows, ("0.0", "0.1", "0.2", "0.3", "0.4", "0.5"), ends, strict=True):
        assert row.split()[0] == name
        assert re.sub(r"[^a-z]+$|^.*?(?=[a-z]|$)", "", row, count=1) == end
    assert last == "Worse after epoch 1 and better after epoch 4: 0.1"


def test_the_table_of_two_seeds_or_one_rate_compares_nothing():
    for text in (table(EPOCHS, seeds=2), table([[0.9], [0.95]])):
        assert not re.search("±|better|worse|Worse|difference", text)


def test_an_average_that_is_better_only_at_the_end_has_no_epoch():
    assert [better_since(np.array(each)) for each in ([1, 1], [0, 1], [1, 0], [-1, 1])] == [
        1,
        2,
        3,
        2,
    ]
