"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import numpy as np
from conftest import SCRIPT, committed_runs

import dropout_sweep

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())
RATES = dropout_sweep.sorted_rates()
RUNS = committed_runs()  # of thirty epochs and twenty seeds


def values(run: str, epoch: int, measure: str = "val_accuracy") -> np.ndarray:
    """Returns accuracies in % or losses after this epoch: float [seeds, rates]."""
    return RUNS[run][measure][:, :, epoch - 1] * (100 if "accuracy" in measure else 1)


def level(run: str, epoch: int, rate: float, measure: str = "val_accuracy") -> str:
    mean = values(run, epoch, measure)[:, RATES.index(rate)].mean()
    return f"{mean:.2f}" if "accuracy" in measure else f"{mean:.3f}"


def as_text(mean: float, half_width: float, digits: int) -> str:
    return f"{mean:+.{digits}f} ± {half_width:.{digits}f}".replace("-", "−")


def difference(run: str, epoch: int, rate: float, measure: str = "val_accuracy") -> str:
    """Returns a rate's difference from rate 0.0, with its interval, as the README writes it."""
    mean, half_width = dropout_sweep.compare_with_first(values(run, epoch, measure))
    row = RATES.index(rate)
    return as_text(mean[row], half_width[row], 2 if "accuracy" in measure else 3)


def change(first: np.ndarray, second: np.ndarray, digits: int = 2) -> str:
    """Returns how much one of two results, float [seeds], differs from the other."""
    mean, half_width = dropout_sweep.compare_with_first(np.column_stack([first, second]))
    return as_text(mean[1], half_width[1], digits)


def judged(run: str, epoch: int, kind: str, measure: str = "val_accuracy") -> str:
    """Returns the rates that are better than rate 0.0 ("better"), or worse, or not told apart."""
    sign = 1 if "accuracy" in measure else -1  # a loss is better where it is lower
    mean, half_width = dropout_sweep.compare_with_first(sign * values(run, epoch, measure))
    chosen = dropout_sweep.judge_rates(mean, half_width)
    row = ["better", "not told apart", "worse"].index(kind)
    return dropout_sweep.list_rates(RATES, chosen[row])


def first_better(run: str, rate: float) -> int:
    """Returns the epoch from which on a rate is better than rate 0.0, every one to the last."""
    epoch = 30
    while f"{rate}" in rates_better(run, epoch - 1):
        epoch -= 1
    return epoch


def rates_better(run: str, epoch: int) -> list[str]:
    better, _, _ = dropout_sweep.judge_rates(*dropout_sweep.compare_with_first(values(run, epoch)))
    return [str(rate) for rate, is_better in zip(RATES, better) if is_better]


def final(run: str, column: str, rate: float) -> str:
    """Returns a mean over the seeds from final.csv, in %."""
    path = SCRIPT.parent / "figures" / "thirty_epochs" / "network_dropout_mnist_final.csv"
    rows = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii")
    chosen = (rows["normalization"] == run) & (rows["dropout_rate"] == rate)
    return f"{100 * rows[column][chosen].mean():.2f}"


def test_the_run_of_ten_epochs_is_the_beginning_of_the_run_of_thirty():
    folder = SCRIPT.parent / "figures"
    name = "network_dropout_mnist_history.csv"
    default = (folder / name).read_text(encoding="ascii").splitlines()
    thirty = (folder / "thirty_epochs" / name).read_text(encoding="ascii").splitlines()
    assert len(default) == 1 + 10 * 10 and set(default) <= set(thirty)
