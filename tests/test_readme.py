"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import re

import draw_readme
import numpy as np
from conftest import SCRIPT, committed_runs

import dropout_sweep

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())
RATES = dropout_sweep.DROPOUT_RATES
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
    judgement = {"better": 1, "not told apart": 0, "worse": -1}[kind]
    chosen = np.flatnonzero(dropout_sweep.judge(mean, half_width) == judgement)
    chosen = chosen[chosen > 0]
    assert (np.diff(chosen) == 1).all()
    return f"{RATES[chosen[0]]} to {RATES[chosen[-1]]}" if chosen.size else ""


def first_better(run: str, rate: float) -> int:
    """Returns the epoch from which on a rate is better than rate 0.0, every one to the last."""
    worse = [epoch for epoch in range(1, 31) if str(rate) not in rates_better(run, epoch)]
    return worse[-1] + 1


def rates_better(run: str, epoch: int) -> list[str]:
    judgements = dropout_sweep.judge(*dropout_sweep.compare_with_first(values(run, epoch)))
    return [str(rate) for rate, judgement in zip(RATES, judgements) if judgement == 1]


def final(run: str, column: str, rate: float) -> str:
    """Returns a mean over the seeds from final.csv, in %."""
    path = SCRIPT.parent / "figures" / "thirty_epochs" / "network_dropout_mnist_final.csv"
    rows = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii")
    chosen = (rows["normalization"] == run) & (rows["dropout_rate"] == rate)
    return f"{100 * rows[column][chosen].mean():.2f}"


def test_the_table():
    for rate in RATES:
        cells = []
        for run in ("layer", "hidden"):
            for epoch in (10, 30):
                cell = f"{level(run, epoch, rate)} %" if rate == 0 else difference(run, epoch, rate)
                is_better = str(rate) in rates_better(run, epoch)
                cells.append(f"**{cell}**" if is_better else cell)
        assert f"| {rate} | {' | '.join(cells)} |" in README


def test_the_numbers_in_the_text():
    layer_10, layer_30 = values("layer", 10), values("layer", 30)
    none_10 = values("none", 10)
    still = change(layer_10[:, 0], layer_30[:, 0])
    loss_10, loss_30 = values("layer", 10, "val_loss"), values("layer", 30, "val_loss")
    rise = change(loss_10[:, 0], loss_30[:, 0], digits=3)
    accuracy, dropout_off = (final("layer", c, 0.5) for c in ("accuracy", "accuracy_dropout_off"))
    claims = [
        f"after 10 epochs rate 0.2 comes out best, {difference('layer', 10, 0.2)} percentage points",
        f"after 30 epochs rate 0.4 does, {difference('layer', 30, 0.4)} above",
        f"rate 0.2 by {difference('layer', 1, 0.2)}, rate 0.5 by {difference('layer', 1, 0.5)}",
        f"rate 0.2 is better than none in every epoch from {first_better('layer', 0.2)} on",
        f"rate 0.4 in every epoch from {first_better('layer', 0.4)} on",
        f"{judged('layer', 10, 'better')} after 10 epochs, {judged('layer', 30, 'better')} after 30",
        f"from {difference('layer', 10, 0.5)} after 10 epochs to {difference('layer', 30, 0.5)}",
        f"{difference('batch', 10, 0.3)} at rate 0.3 after 10 epochs",
        f"{difference('batch', 30, 0.5)} at rate 0.5 after 30",
        f"{level('layer', 10, 0.0)} % and {level('layer', 30, 0.0)} %, a change of {still}",
        f"from {level('layer', 10, 0.0, 'val_loss')} to {level('layer', 30, 0.0, 'val_loss')}",
        f"by {rise}: the network learns its training images by heart",
        f"it ends at {level('layer', 30, 0.4, 'val_loss')}",
        f"a difference of {difference('layer', 30, 0.4, 'val_loss')} from none, a third less",
        f"After 30, {judged('hidden', 30, 'not told apart')} are not told apart from none",
        f"loss is lower at {judged('hidden', 30, 'better', 'val_loss')} after 30 epochs",
        f"at 0.3 by {difference('hidden', 30, 0.3, 'val_loss')}",
        f"already reach {level('none', 10, 0.0)} %",
        f"at its best rate, {level('layer', 10, 0.2)} %",
        f"(difference {change(none_10[:, 0], layer_10[:, 2])})",
        f"Normalizing the pixels makes {change(none_10[:, 0], layer_10[:, 0])} by itself",
        f"After 30, {judged('none', 30, 'better')} are, and rate 0.3 there, {level('none', 30, 0.3)} %",
        f"it gains {difference('none', 30, 0.3)}",
        f"30 epochs, {accuracy} % with dropout on and {dropout_off} % with it off",
    ]
    early, late = (difference(*place)[1:] for place in (("layer", 10, 0.2), ("layer", 30, 0.4)))
    docstring = " ".join(dropout_sweep.__doc__.split())
    assert f"best after 10 epochs, {early} percentage points" in docstring
    assert f"rate 0.4 after 30 epochs, {late} above" in docstring
    for claim in claims:
        assert claim in WORDS, claim


def test_what_the_text_says_without_numbers():
    best = {
        (run, epoch): RATES[values(run, epoch).mean(axis=0).argmax()]
        for run in RUNS
        for epoch in (10, 30)
    }
    assert best["layer", 10] == 0.2 and best["layer", 30] == 0.4
    assert best["batch", 10] == 0.3 and best["batch", 30] == 0.5
    assert judged("layer", 1, "worse") == "0.1 to 0.9"
    assert judged("hidden", 10, "worse") == "0.2 to 0.9"
    assert judged("hidden", 30, "worse") == "0.4 to 0.9"
    assert judged("none", 10, "better") == judged("hidden", 30, "better") == ""
    for run in ("layer", "batch", "none"):
        assert "0.5" in rates_better(run, 30)
        assert level(run, 30, 0.0) < max(level(run, 30, rate) for rate in RATES)
        for epoch in (10, 30):
            training = values(run, epoch, "accuracy").mean(axis=0)
            assert (np.diff(training) < 0).all()
    highest = max(values(run, epoch).mean(axis=0).max() for run in RUNS for epoch in (10, 30))
    assert f"{highest:.2f}" == level("none", 30, 0.3)
    losses = values("layer", 30, "val_loss").mean(axis=0)
    assert 0.60 < losses[RATES.index(0.4)] / losses[0] < 0.70
    at_30 = values("layer", 30)
    assert (at_30[:, RATES.index(0.4)] > at_30[:, 0]).all()
    lowest = values("layer", 30, "accuracy")[:, 0].min()
    assert f"one with a training accuracy of {lowest:.1f} %" in WORDS
    half_width = dropout_sweep.compare_with_first(values("layer", 10))[1][RATES.index(0.2)]
    assert f"{half_width / dropout_sweep.critical_value(20, 10):.3f}" == "0.028"


def test_the_figures_show_these_runs():
    figure = draw_readme.draw_differences(RUNS)
    panels = [(run, epoch) for epoch in (10, 30) for run in draw_readme.PANELS]
    for axes, (run, epoch) in zip(figure.axes, panels, strict=True):
        assert axes.get_title() == f"{draw_readme.PANELS[run]}, {epoch} epochs"
        better, *_ = axes.containers
        assert [str(rate) for rate in better.lines[0].get_xdata()] == rates_better(run, epoch)
    _, loss_axes = draw_readme.draw_by_epoch(RUNS["layer"]).axes
    shown = {line.get_label(): line.get_ydata() for line in loss_axes.lines}
    for rate in (0.0, 0.4):
        assert f"{shown[f'rate {rate}'][29]:.3f}" == level("layer", 30, rate, "val_loss")


def test_files_and_commands():
    names = re.findall(r"(?:\(|src=\")(figures/[^)\"]+)", README)
    assert len(names) == 4 and all((SCRIPT.parent / name).exists() for name in names)
    for command in (" && python dropout_sweep.py", " pytest && python -m pytest"):
        assert f"\n    python -m pip install -r requirements.txt{command}\n" in README


def test_the_run_of_ten_epochs_is_the_beginning_of_the_run_of_thirty():
    folder = SCRIPT.parent / "figures"
    name = "network_dropout_mnist_history.csv"
    default = (folder / name).read_text(encoding="ascii").splitlines()
    thirty = (folder / "thirty_epochs" / name).read_text(encoding="ascii").splitlines()
    assert len(default) == 1 + 10 * 10 and set(default) <= set(thirty)
