"""What may be said of the rates: simulated sweeps, of which the truth is known."""

import numpy as np
import pytest

from dropout_sweep import verdict, worse_than_best


@pytest.mark.parametrize("noise", [(1, 1), (1, 3), (3, 1)])  # of the first rate and of the last
@pytest.mark.parametrize("seeds, rates", [(2, 10), (3, 2), (3, 40), (5, 10), (10, 40), (20, 10)])
def test_equal_rates_are_seldom_called_worse(seeds, rates, noise):
    random = np.random.default_rng([seeds, rates])
    luck = random.normal(scale=0.002, size=[2_000, seeds, 1])  # of a seed, for all its rates
    scale = 0.0014 * np.linspace(*noise, rates).round()
    sweeps = 0.97 + luck + random.normal(size=[2_000, seeds, rates]) * scale
    sweeps = sweeps.round(4)  # 10,000 images
    found = np.mean([worse_than_best(sweep).any() for sweep in sweeps])
    assert (0.03 if seeds > 2 and noise == (1, 1) else 0) <= found <= 0.07


def test_a_rate_four_standard_deviations_behind_is_found():
    sweeps = np.random.default_rng(0).normal(size=[100, 20, 10])
    sweeps[..., 3] -= 4
    assert sum(worse_than_best(sweep)[3] for sweep in sweeps) >= 95


CASES = [
    ([0.90, 0.97, 0.97, 0.97, 0.90, 0.80], 9, ["0.0, 0.4 to 0.5", "0.1 to 0.3"]),
    ([0.97, 0.97], 9, ["No other rate is worse"]),
    ([0.97, 0.96], 2, ["accuracy: 0.0.", "three seeds or more"]),
    ([0.96, 0.97, 0.97], 1, ["accuracy: 0.1 to 0.2.", "three seeds or more"]),
    ([0.97], 9, ["accuracy: 0.0."]),
]


@pytest.mark.parametrize("means, seeds, words", CASES)
def test_the_verdict_says_no_more_than_that(means, seeds, words):
    noise = np.random.default_rng(1).normal(scale=0.001, size=[seeds, len(means)])
    validation = means + noise * (seeds > 1)
    text = verdict([row / 10 for row in range(len(means))], validation)
    assert all(word in text for word in words), text
    assert ("Worse" in text) == worse_than_best(validation).any()
