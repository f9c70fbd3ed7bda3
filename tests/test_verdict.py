"""What may be said of the rates: simulated sweeps, of which the truth is known."""

import numpy as np
import pytest

from dropout_sweep import compare_with_first, judge_rates, verdict

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
        better, _, worse = judge_rates(mean, half_width)
        found += better[2] and worse[9]
        assert not worse[2] and not better[9]
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


HEAD = "Compared with rate 0.0, by validation accuracy (7 epochs, 9 seeds):"
SEVERAL = f"""{HEAD}
  Better: 0.1 to 0.2.
    Largest gain: {{:.2f}} percentage points at 0.1 (95 % interval {{:.2f}} to {{:.2f}}).
  Not told apart: 0.3.
    With 9 seeds, a difference above {{:.2f}} points would have shown there.
  Worse: 0.4 to 0.5."""
TWO = f"""{HEAD}
  Better: none.
  Not told apart: none.
  Worse: 0.1."""
ONE = "There is no other rate to compare 0.0 with."
CASES = [([0.95, 0.98, 0.97, 0.95, 0.9, 0.8], SEVERAL), ([0.97, 0.8], TWO), ([0.97], ONE)]


@pytest.mark.parametrize("means, words", CASES)
def test_the_verdict_in_words(means, words):
    noise = np.random.default_rng(1).normal(scale=0.001, size=[9, len(means)])
    accuracies = means + noise
    mean, half_width = 100 * np.array(compare_with_first(accuracies))
    if words == SEVERAL:
        ends = [mean[1] - half_width[1], mean[1] + half_width[1]]
        words = words.format(mean[1], *ends, half_width[3])
    assert verdict([row / 10 for row in range(len(means))], accuracies, epochs=7) == words


def test_the_verdict_names_the_lowest_rate_and_the_seeds_that_are_missing():
    text = verdict([0.25, 0.5], np.array([[0.9, 0.95]]), epochs=1)
    assert text.startswith("Compared with rate 0.25, by validation accuracy (1 epoch, 1 seed):")
    assert "Highest is rate 0.5, 5.00 percentage points higher." in text and "SEEDS" in text
    assert "better" not in text.lower() and "interval" not in text
    text = verdict([0.25, 0.5], np.array([[0.95, 0.9], [0.95, 0.9]]), epochs=2)
    assert "(2 epochs, 2 seeds)" in text and "Highest is rate 0.25 itself." in text


def test_with_three_seeds_it_says_how_large_a_difference_could_have_shown():
    accuracies = np.array([[0.90, 0.92, 0.91], [0.91, 0.90, 0.91], [0.92, 0.95, 0.90]])
    _, half_width = 100 * np.array(compare_with_first(accuracies))
    text = verdict([0.0, 0.3, 0.6], accuracies, epochs=10)
    shown = (
        f"With 3 seeds, a difference above {half_width.max():.2f} points would have shown there."
    )
    assert "Not told apart: 0.3 to 0.6." in text and shown in text
