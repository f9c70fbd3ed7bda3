"""What may be said of the rates: simulated sweeps, of which the truth is known."""

import numpy as np
import pytest

import dropout_sweep as d


@pytest.mark.parametrize("noise", [(1, 1), (1, 3), (3, 1)])  # of the first rate and of the last
@pytest.mark.parametrize("size", [(3, 2), (3, 40), (5, 10), (10, 40), (20, 10)])
def test_equal_rates_are_seldom_told_apart(size, noise):
    """Accuracies of 2,000 runs on 10,000 images, whose noise is that of MNIST."""
    seeds, rates = size
    random = np.random.default_rng(size)
    deviations = 0.0014 * np.linspace(*noise, rates)[:, None]
    luck = random.normal(scale=0.002, size=[seeds, 1, 2_000])  # of a seed, for all its rates
    accuracies = 0.97 + luck + deviations * random.normal(size=[*size, 2_000])
    mean, half_width = d.compare_with_first(accuracies.round(4))
    found = (abs(mean) > half_width).any(axis=0).sum()
    assert (60 if noise == (1, 1) else 1) <= found <= 160


def test_intervals_of_two_rates_are_students_t_and_those_of_ten_what_other_code_simulates():
    expected = {(3, 2): 4.303, (10, 2): 2.262, (20, 2): 2.093, (5, 10): 5.3, (20, 10): 3.04}
    values = [d.critical_value(*size) for size in expected]
    np.testing.assert_allclose(values, list(expected.values()), rtol=0.02)
    accuracies = np.array([[0.9, 0.8, 0.7], [0.5, 0.4, 0.31], [0.7, 0.6, 0.5]])
    _, half_width = d.compare_with_first(np.stack([accuracies, 2 * accuracies], axis=2))
    assert (half_width[1] == np.inf).all()  # all seeds have the same difference
    assert 0 < half_width[2, 0] < 1 and half_width[2, 1] == pytest.approx(2 * half_width[2, 0])


@pytest.mark.parametrize("seeds", [2, 9])
def test_the_table_says_what_is_better(seeds, capsys):
    means = np.array([95, 98, 97, 95, 97, 90])  # % of validation accuracy by rate
    noise = np.random.default_rng(1).normal(scale=0.1, size=[seeds, 6])
    d.print_table(list(range(6)), dict.fromkeys(d.RESULT_NAMES, means + noise))
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["rate", "training", "dropout", "off", "validation", "difference"]
    verdicts = ["", "better", "better", "", "better", "worse"]
    for rate, (row, verdict) in enumerate(zip(rows, verdicts, strict=True)):
        cells = row.split()
        assert float(cells[3]) == pytest.approx(means[rate], abs=0.2)
        assert float(cells[4]) == pytest.approx(means[rate] - 95, abs=0.2)
        assert (cells[6] == "inf") == (seeds < 3 and rate > 0)
        assert " ".join(cells[7:]) == (verdict if seeds > 2 else "")
