"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import re

import draw_readme
import numpy as np
import pytest
from conftest import COMMITTED, RATES, SCRIPT, committed_runs, read_committed

import dropout_sweep

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())
RUNS = committed_runs()  # of thirty epochs; twenty seeds, but for "epsilon"
LATE = slice(20, 30)  # epochs 21 to 30
SETTINGS = ["layer", "batch", "none"]  # those with dropout on the pixels


def values(run: str, epoch: int, measure: str = "val_accuracy") -> np.ndarray:
    """Returns accuracies in % or losses after this epoch: float [seeds, rates]."""
    return RUNS[run][measure][:, :, epoch - 1] * (100 if "accuracy" in measure else 1)


def late(run: str, measure: str = "val_accuracy") -> np.ndarray:
    """Returns the medians of epochs 21 to 30: float [seeds, rates]."""
    return np.median(RUNS[run][measure][:, :, LATE], axis=2) * (100 if "accuracy" in measure else 1)


def at_best_epoch(run: str, measure: str) -> np.ndarray:
    """Returns accuracies in % or losses where validation loss is lowest: float [seeds, rates]."""
    best = RUNS[run]["val_loss"].argmin(axis=2)[..., None]
    chosen = np.take_along_axis(RUNS[run][measure], best, axis=2)[..., 0]
    return chosen * (100 if "accuracy" in measure else 1)


def level(results: np.ndarray, rate: float) -> float:
    return results[:, RATES.index(rate)].mean()


def as_text(mean: float, half_width: float, digits: int = 2, sign: str = "+") -> str:
    return f"{mean:{sign}.{digits}f} ± {half_width:.{digits}f}".replace("-", "−")


def difference(results: np.ndarray, rate: float, digits: int = 2) -> str:
    """Returns a rate's difference from rate 0.0, with its interval, as the README writes it."""
    mean, half_width = dropout_sweep.compare_with_first(results)
    row = RATES.index(rate)
    return as_text(mean[row], half_width[row], digits)


def size(results: np.ndarray, rate: float) -> str:
    """Returns the same without its sign."""
    return difference(results, rate)[1:]


def single(first: np.ndarray, second: np.ndarray, digits: int = 2) -> str:
    """Returns how much the second of two results, float [seeds], lies above the first."""
    mean, half_width = dropout_sweep.compare_with_first(np.column_stack([first, second]))
    return as_text(mean[1], half_width[1], digits)


def judged(results: np.ndarray, judgement: int) -> list[float]:
    """Returns the rates that are better (1) or worse (-1) than rate 0.0, or neither (0)."""
    judgements = dropout_sweep.judge(*dropout_sweep.compare_with_first(results))
    return [rate for rate, each in zip(RATES[1:], judgements[1:]) if each == judgement]


def by_epoch(run: str, measure: str = "val_accuracy") -> np.ndarray:
    """Returns 1, 0 or -1 for each rate and epoch; a loss is better where it is lower."""
    sign = 1 if "accuracy" in measure else -1
    return dropout_sweep.judge(*dropout_sweep.compare_epochs(sign * RUNS[run][measure]))


def since(run: str, rate: float) -> int:
    return dropout_sweep.better_since(by_epoch(run)[RATES.index(rate)])


def not_excluded(results: np.ndarray) -> list[float]:
    """Returns the rates that no interval tells apart from the one that comes out best."""
    best = int(results.mean(axis=0).argmax())
    order = [best, *(row for row in range(len(RATES)) if row != best)]
    mean, half_width = dropout_sweep.compare_with_first(results[:, order])
    return sorted(RATES[row] for row, above in zip(order, mean + half_width) if above >= 0)


def falls(run: str) -> np.ndarray:
    """Returns how far training accuracy lies below what it had reached: [seeds, rates, epochs]."""
    accuracy = 100 * RUNS[run]["accuracy"]
    return np.maximum.accumulate(accuracy, axis=2) - accuracy


def test_the_table():
    columns = [
        values("layer", 10),
        values("layer", 30),
        late("layer"),
        values("hidden", 10),
        late("hidden"),
    ]
    for rate in RATES:
        cells = []
        for results in columns:
            cell = f"{level(results, rate):.2f} %" if rate == 0 else difference(results, rate)
            is_better = rate in judged(results, 1)
            cells.append(f"**{cell}**" if is_better else cell)
        assert f"| {rate} | {' | '.join(cells)} |" in README


def test_the_numbers_in_the_text():
    layer_10, layer_30, layer_late = values("layer", 10), values("layer", 30), late("layer")
    none_10, none_late = values("none", 10), late("none")
    loss_10, loss_30 = values("layer", 10, "val_loss"), values("layer", 30, "val_loss")
    best_loss = at_best_epoch("layer", "val_loss")
    highest = 100 * RUNS["layer"]["val_accuracy"].max(axis=2)
    epsilon = RUNS["epsilon"]
    *_, final = read_committed("thirty_epochs")
    half = 100 * final[0][:, RATES.index(0.5)]["accuracy"].mean()
    half_off = 100 * final[0][:, RATES.index(0.5)]["accuracy_dropout_off"].mean()
    winners = np.bincount((layer_10 - layer_10[:, :1]).argmax(axis=1), minlength=10)
    lead = (layer_10 - layer_10[:, :1]).max(axis=1).mean()
    *_, decay_final = read_committed("weight_decay")
    decay, both = 100 * decay_final["val_accuracy"][0].T
    claims = [
        f"rate 0.2 by {size(values('layer', 1), 0.2)} percentage points of validation accuracy",
        f"rate 0.5 by {size(values('layer', 1), 0.5)}. From epoch {since('layer', 0.2)} on rate",
        f"0.2 is better, by {size(layer_10, 0.2)} after 10 epochs",
        f"from epoch {since('layer', 0.4)} on rate 0.4 is, by {size(layer_late, 0.4)} in the",
        f"of twenty, {winners[2]} have rate 0.2 in front after ten epochs, {winners[3]} have 0.3",
        (
            f"{winners[1]} each have 0.1 and 0.4, and the winner's lead over no dropout looks like "
            f"{lead:.2f} points"
        ),
        (
            f"in every epoch from {since('layer', 0.2)} on, rate 0.4 from {since('layer', 0.4)} on, "
            f"rate 0.5 from {since('layer', 0.5)} on"
        ),
        f"0.5 is still worse after 10 epochs, by {size(layer_10, 0.5)}",
        f"{difference(values('batch', 10), 0.3)} at rate 0.3 after 10 epochs",
        f"{difference(values('batch', 30), 0.4)} at rate 0.4 after 30",
        f"after epoch 30 alone, {difference(layer_30, 0.4)} at rate 0.4",
        f"such moments hardly move, gives {difference(layer_late, 0.4)}",
        (
            f"no seed of {len(epsilon)} falls at rate 0.0, and rate 0.4 gains "
            f"{difference(values('epsilon', 30), 0.4)} after epoch 30 and "
            f"{difference(late('epsilon'), 0.4)} by the median"
        ),
        f"still gains {difference(at_best_epoch('layer', 'val_accuracy'), 0.4)} in accuracy",
        f"Where accuracy itself is highest, it is {difference(highest, 0.4)}",
        (
            f"from {level(loss_10, 0.0):.3f} to {level(loss_30, 0.0):.3f}, by "
            f"{single(loss_10[:, 0], loss_30[:, 0], 3)[1:]} (single)"
        ),
        (
            f"{level(layer_10, 0.0):.2f} % after 10 epochs, {level(values('layer', 25), 0.0):.2f} % "
            f"after 25, {level(values('layer', 26), 0.0):.2f} % after 26"
        ),
        f"At rate 0.4 loss falls to {level(loss_30, 0.4):.3f}",
        f"a fifth lower, {level(best_loss, 0.4):.3f} against {level(best_loss, 0.0):.3f}",
        f"rate 0.3 by {size(none_late, 0.3)} in the median",
        (
            f"rate 0.5 after epoch 30, {difference(values('none', 30), 0.5)}, is a matter of that "
            f"epoch (median {difference(none_late, 0.5)})"
        ),
        f"it takes {single(layer_10[:, 0], none_10[:, 0])[1:]} (single) from a network",
        f"it reaches {layer_10.mean(axis=0).max():.2f} % against {level(none_10, 0.0):.2f} %",
        f"{half:.2f} % with dropout on and {half_off:.2f} % with it off",
        f"`SEEDS = range({len(epsilon)})`",
        f"weight decay alone gains {single(layer_10[:, 0], decay)[1:]} over none",
        f"rate 0.2 beside it {single(decay, both)[1:]} more",
        f"no more than rate 0.2 alone ({single(layer_10[:, 2], both)})",
        f"Rate 0.2 alone is better than weight decay alone by {single(decay, layer_10[:, 2])[1:]}",
    ]
    for claim in claims:
        assert claim in WORDS, claim
    docstring = " ".join(dropout_sweep.__doc__.split())
    assert f"{size(layer_10, 0.2)} percentage points" in docstring
    assert f"{size(layer_late, 0.4)} in" in docstring
    assert size(values("epsilon", 30), 0.4) != size(layer_30, 0.4)


def test_what_the_text_says_of_cost_and_gain():
    for run in [*SETTINGS, "hidden"]:
        assert judged(values(run, 1), -1) == RATES[1:]
        training = RUNS[run]["accuracy"][..., -1].mean(axis=0)
        assert (np.diff(training) < 0).all()
    for run in ("layer", "batch"):
        rising = RUNS[run]["val_accuracy"][..., 27:].mean(axis=2)
        rising -= RUNS[run]["val_accuracy"][..., 22:25].mean(axis=2)
        error = 2.1 * rising.std(axis=0, ddof=1) / 20**0.5
        assert (rising.mean(axis=0) > error)[5:].all()
    for run in SETTINGS:
        assert judged(values(run, 30), 1)
    assert judged(values("hidden", 10), -1) == RATES[2:]
    assert judged(late("hidden"), -1) == RATES[3:]
    better = by_epoch("hidden") == 1
    assert better.sum() == better[1].sum() == 1 and not judged(late("hidden"), 1)
    loss = by_epoch("hidden", "val_loss")[:, -1]
    assert [rate for rate, each in zip(RATES, loss) if each == 1] == RATES[1:6]
    assert (at_best_epoch("hidden", "val_loss").mean(axis=0).argmin()) == 0
    assert judged(values("none", 10), 1) == [] and judged(late("none"), 1) == RATES[1:5]
    assert values("none", 10)[:, 0].mean() == pytest.approx(97.49, abs=0.005)


def test_what_the_text_says_of_unstable_training():
    assert (falls("hidden")[:, 0, 17:] > 0.3).any(axis=1).sum() == 17
    late_falls = (falls("layer")[..., 17:] > 0.3).any(axis=2).sum(axis=0)
    assert late_falls[0] == 19 and late_falls[1:7].max() == 0
    assert not (falls("layer")[:, 0, :17] > 0.3).any()
    assert (RUNS["layer"]["accuracy"][:, 0].max(axis=1) >= 0.99995).all()
    for run in ("batch", "none", "epsilon"):
        assert not (falls(run)[:, 0, 17:] > 0.3).any()
    epochs = np.median(RUNS["layer"]["val_loss"].argmin(axis=2) + 1, axis=0)
    assert (epochs[0], epochs[4]) == (10, 25)
    loss = at_best_epoch("layer", "val_loss").mean(axis=0)
    assert 0.78 < loss[4] / loss[0] < 0.82
    assert RUNS["layer"]["val_loss"][:, 0].mean(axis=0).argmin() + 1 in (8, 9, 10)


def test_which_rates_are_not_excluded_as_the_best():
    assert not_excluded(values("layer", 10)) == [0.1, 0.2, 0.3, 0.4]
    assert not_excluded(late("layer")) == [0.3, 0.4, 0.5]
    assert not_excluded(values("batch", 10)) == [0.2, 0.3]
    assert not_excluded(late("batch")) == [0.3, 0.4, 0.5]


def test_how_often_a_gain_is_found():
    accuracies = values("layer", 10)
    mean = accuracies.mean(axis=0)
    covariance = np.cov(accuracies.T)
    random = np.random.default_rng(0)
    found = {}
    for seeds in (3, 5, 10, 20):
        runs = random.multivariate_normal(mean, covariance, size=[1_000, seeds])
        comparisons = np.array([dropout_sweep.compare_with_first(run) for run in runs])
        found[seeds] = 100 * (comparisons[:, 0, 2] > comparisons[:, 1, 2]).mean()
    words = re.search(r"by 3 seeds in (\d+) of 100 runs, by 5 in (\d+), by 10 in (\d+)", WORDS)
    for seeds, percent in zip((3, 5, 10), words.groups()):
        assert found[seeds] == pytest.approx(int(percent), abs=4)
    assert found[20] > 99


def test_the_figures_show_these_runs():
    figure = draw_readme.draw_differences(RUNS)
    panels = [(run, epoch) for epoch in (10, 30) for run in draw_readme.PANELS]
    for axes, (run, epoch) in zip(figure.axes, panels, strict=True):
        assert axes.get_title() == f"{draw_readme.PANELS[run]}, {epoch} epochs"
        better, *_ = axes.containers
        assert better.lines[0].get_xdata().tolist() == judged(values(run, epoch), 1)
    _, loss_axes = draw_readme.draw_loss(RUNS["layer"]).axes
    shown = {line.get_label(): line.get_ydata() for line in loss_axes.lines}
    for rate in (0.0, 0.4):
        loss = level(values("layer", 30, "val_loss"), rate)
        assert shown[f"rate {rate}"][29] == pytest.approx(loss)
    for axes, run in zip(draw_readme.draw_answer(RUNS).axes, ("layer", "hidden"), strict=True):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        gain = values(run, 10)[:, 2] - values(run, 10)[:, 0]
        assert lines["rate 0.2"][9] == pytest.approx(gain.mean())


def test_files_and_commands():
    names = re.findall(r"(?:\(|src=\")(figures/[^)\"]+)", README)
    assert len(names) == 5 and all((SCRIPT.parent / name).exists() for name in names)
    for command in (" && python dropout_sweep.py", " pytest && python -m pytest"):
        assert f"\n    python -m pip install -r requirements.txt{command}\n" in README
    for folder in COMMITTED:
        files = {path.name for path in (SCRIPT.parent / "figures" / folder).glob("network_*")}
        assert len(files) == 8


def test_the_run_of_ten_epochs_is_the_beginning_of_the_run_of_thirty():
    folder = SCRIPT.parent / "figures"
    name = "network_dropout_mnist_history.csv"
    default = (folder / name).read_text(encoding="ascii").splitlines()
    thirty = (folder / "thirty_epochs" / name).read_text(encoding="ascii").splitlines()
    assert len(default) == 1 + 10 * 10 and set(default) <= set(thirty)
