"""What may be said of the rates: simulated sweeps, of which the truth is known."""

import numpy as np
import pytest

import dropout_sweep as d

NOISE = 0.0014  # standard deviation of a rate's accuracy over the seeds, as on MNIST


def simulate(sweeps: int, seeds: int, rates: int, noise: np.ndarray | float) -> np.ndarray:
    """Returns accuracies of equal rates, on 10,000 images: float [sweeps, seeds, rates]."""
    random = np.random.default_rng([seeds, rates])
    luck = random.normal(scale=0.002, size=[sweeps, seeds, 1])  # of a seed, for all its rates
    return (0.97 + luck + noise * random.normal(size=[sweeps, seeds, rates])).round(4)


@pytest.mark.parametrize("noise", [(1, 1), (1, 3), (3, 1)])  # of the first rate and of the last
@pytest.mark.parametrize("size", [(3, 2), (3, 40), (5, 10), (10, 40), (20, 10)])
def test_equal_rates_are_seldom_told_apart(size, noise):
    found = 0
    for sweep in simulate(2_000, *size, NOISE * np.linspace(*noise, size[1])):
        mean, half_width = d.compare_with_first(sweep)
        found += (abs(mean) > half_width).any()
    assert (60 if noise == (1, 1) else 1) <= found <= 160


def test_intervals_of_two_rates_are_those_of_students_t():
    values = [d.critical_value(seeds, 2) for seeds in (3, 10, 20)]
    np.testing.assert_allclose(values, [4.303, 2.262, 2.093], rtol=0.02)


def test_under_three_seeds_nothing_is_told_apart():
    values = np.array([[0.9, 0.95, 0.1], [0.9, 0.96, 0.12]])
    for seeds in (1, 2):
        mean, half_width = d.compare_with_first(values[:seeds])
        np.testing.assert_allclose(mean, (values - values[:, :1])[:seeds].mean(axis=0))
        assert half_width.tolist() == [0, np.inf, np.inf]


def test_where_all_seeds_have_the_same_difference_nothing_is_told_apart():
    values = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.31], [0.7, 0.6, 0.5]])
    mean, half_width = d.compare_with_first(values)
    np.testing.assert_allclose(mean, [0, -0.1, -0.1967], atol=1e-4)
    assert half_width[1] == np.inf and 0 < half_width[2] < 1


@pytest.mark.parametrize("seeds", [2, 9])
def test_the_table_says_what_is_better_and_since_when(seeds):
    means = np.full([6, 4], 0.95)  # of validation accuracy by rate and epoch
    means[1] = 0.90, 0.97, 0.98, 0.98
    means[2] = 0.97, 0.94, 0.97, 0.97
    means[4] = 0.97
    means[5] = 0.97, 0.95, 0.90, 0.90
    noise = np.random.default_rng(1).normal(scale=0.001, size=[seeds, 6, 4])
    history = np.zeros([seeds, 6, 4], d.HISTORY)
    history["val_accuracy"] = means + noise
    final = np.zeros([seeds, 6], d.FINAL)
    final["val_accuracy"] = history["val_accuracy"][..., -1]
    final["accuracy_dropout_off"] = 0.75
    head, *rows = d.results_table(list(range(6)), history, final).splitlines()
    assert head.split()[:5] == ["rate", "training", "dropout", "off", "validation"]
    ends = [f"better, ahead since epoch {epoch}" for epoch in (2, 3, 1)]
    ends = ["", *ends[:2], "", ends[2], "worse"]
    for rate, (row, end) in enumerate(zip(rows, ends, strict=True)):
        cells = row.split()
        assert cells[:3] == [str(rate), "0.00", "75.00"] and len(row) <= 100
        assert float(cells[3]) == pytest.approx(100 * means[rate, -1], abs=0.2)
        assert " ".join(cells[7:]) == (end if seeds > 2 else "")
        assert len(cells) == 4 if seeds == 2 or rate == 0 else cells[5] == "±"
