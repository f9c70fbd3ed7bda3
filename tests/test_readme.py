"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import re
import runpy
import shutil

import draw_readme
import keras
import numpy as np
import pytest
from conftest import FIGURES, RATES, SCRIPT, read_run

import dropout_sweep as d

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
WORDS = " ".join(README.split())
NAMES, THIRTY, _ = read_run("thirty_epochs")
RUNS = dict(zip(NAMES, THIRTY))  # HISTORY [seeds, rates, epochs]
RUNS["hidden"] = read_run("hidden_dropout")[1][0]
RUNS["epsilon"] = read_run("adam_epsilon")[1][0]


def accuracy(run: str, epoch: int) -> np.ndarray:
    """Returns validation accuracies in % after this epoch: float [seeds, rates]."""
    return 100 * RUNS[run]["val_accuracy"][..., epoch - 1]


def late(run: str, column: str = "val_accuracy") -> np.ndarray:
    """Returns the medians of epochs 21 to 30: float [seeds, rates]."""
    return np.median(RUNS[run][column][..., 20:30], axis=2) * (100 if "acc" in column else 1)


def level(values: np.ndarray, rate: float, digits: int = 2) -> str:
    return f"{values[:, RATES.index(rate)].mean():.{digits}f}"


def gain(values: np.ndarray, rate: float) -> str:
    """Returns a rate's difference from rate 0.0 with its interval, as the README writes it."""
    mean, half_width = d.compare_with_first(values)
    row = RATES.index(rate)
    return f"{mean[row]:+.2f} ± {half_width[row]:.2f}".replace("-", "−")


def size(values: np.ndarray, rate: float) -> str:
    """Returns the same without its sign."""
    return gain(values, rate)[1:]


def judged(values: np.ndarray, sign: int) -> list[float]:
    """Returns the rates that are better (1) or worse (-1) than rate 0.0."""
    mean, half_width = d.compare_with_first(values)
    return [rate for rate, m, h in zip(RATES[1:], mean[1:], half_width[1:]) if sign * m > h]


def falls(run: str) -> int:
    """Returns in how many seeds rate 0.0 falls by 0.3 points below its best, after epoch 17."""
    training = 100 * RUNS[run]["accuracy"][:, 0]
    below = np.maximum.accumulate(training, axis=1) - training
    assert not (below[:, :17] > 0.3).any()
    return int((below[:, 17:] > 0.3).any(axis=1).sum())


def crossing(rate: float) -> int:
    means = RUNS["layer"]["val_accuracy"].mean(axis=0)
    differences = means[RATES.index(rate)] - means[0]
    assert differences[-1] > 0
    return d.ahead_since(differences)


LOSS = RUNS["layer"]["val_loss"]
BEST_LOSS = LOSS.min(axis=2)
BEST_EPOCH = np.median(LOSS.argmin(axis=2) + 1, axis=0)
SENTENCES = [
    f"rate 0.2 by {size(accuracy('layer', 1), 0.2)} percentage points of validation accuracy",
    f"rate 0.5 by {size(accuracy('layer', 1), 0.5)}",
    f"After ten epochs rate 0.2 is ahead by {size(accuracy('layer', 10), 0.2)}",
    f"late in thirty epochs rate 0.4 is, by {size(late('layer'), 0.4)}",
    f"{level(late('layer'), 0.4)} % against {level(late('layer'), 0.0)} %",
    f"from epochs {crossing(0.2)}, {crossing(0.3)}, {crossing(0.4)} and {crossing(0.5)} on",
    f"in {falls('layer')} of {len(LOSS)} seeds training accuracy falls, after epoch 17",
    f"no seed of {len(RUNS['epsilon'])} falls",
    f"rises from {level(LOSS[..., 9], 0.0, 3)} after ten epochs",
    f"to {level(late('layer', 'val_loss'), 0.0, 3)} late",
    f"from {level(accuracy('layer', 10), 0.0)} % to {level(late('layer'), 0.0)} %",
    f"({BEST_EPOCH[4]:.0f}, the median of the seeds) rate 0.4 has a loss of {level(BEST_LOSS, 0.4, 3)}",
    f"rate 0.0 (epoch {BEST_EPOCH[0]:.0f}) one of {level(BEST_LOSS, 0.0, 3)}",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_numbers_in_the_text(sentence):
    assert sentence in WORDS
    docstring = " ".join(d.__doc__.split())
    assert f"by {size(accuracy('layer', 10), 0.2)} percentage points" in docstring
    assert f"rate 0.4 by {size(late('layer'), 0.4)} in the median" in docstring


def test_the_table():
    for run, best in (("layer", 0.4), ("batch", 0.4), ("none", 0.3), ("hidden", 0.0)):
        values = late(run)
        assert RATES[values.mean(axis=0).argmax()] == best
        cells = [f"{level(values, 0.0)} %", f"{best}: {level(values, best)} %"]
        cells += [gain(values, best) if best else "", gain(accuracy(run, 10), 0.2)]
        assert " | ".join(cells).replace("|  |", "| |") + " |" in README


def test_what_the_text_says_without_numbers():
    for run in ("layer", "batch", "none", "hidden"):
        assert judged(accuracy(run, 1), -1) == RATES[1:]  # after one epoch every rate is worse
        for epoch in range(1, 31):
            assert {0.8, 0.9} <= set(judged(accuracy(run, epoch), -1))
    best_first = [4, 0, 1, 2, 3, 5, 6, 7, 8, 9]
    mean, half_width = d.compare_with_first(late("layer")[:, best_first])
    like_the_best = [RATES[row] for row, high in zip(best_first, mean + half_width) if high >= 0]
    assert sorted(like_the_best) == [0.3, 0.4, 0.5]
    assert judged(accuracy("none", 10), 1) == []
    levels = [late(run).mean(axis=0).max() for run in ("batch", "layer", "none")]
    first = [late(run)[:, 0].mean() for run in ("batch", "layer", "none")]
    assert sorted(levels) == levels and sorted(first) == first
    mean, half_width = d.compare_with_first(late("hidden"))
    assert (mean + half_width)[1:].max() < 0.025 and judged(late("hidden"), -1) == RATES[3:]
    assert 0.78 < BEST_LOSS[:, 4].mean() / BEST_LOSS[:, 0].mean() < 0.82


def test_the_jumps_are_those_of_rate_zero():
    for run, epoch in (("layer", 26), ("hidden", 29)):
        values = accuracy(run, epoch).mean(axis=0) - accuracy(run, epoch - 1).mean(axis=0)
        assert values[0] < -0.05 and abs(values[2:8]).max() < 0.6 * abs(values[0])


def test_how_often_a_gain_is_found():
    values = accuracy("layer", 10)
    random = np.random.default_rng(0)
    for seeds, least, most in ((5, 0, 50), (10, 50, 100)):
        sweeps = random.multivariate_normal(values.mean(axis=0), np.cov(values.T), [200, seeds])
        found = sum(0.2 in judged(sweep, 1) for sweep in sweeps) / 2
        assert least < found < most


def test_the_pictures_show_these_runs():
    pixels, hidden = RUNS["layer"]["val_accuracy"], RUNS["hidden"]["val_accuracy"]
    for axes, values in zip(draw_readme.draw_answer(pixels, hidden).axes, (pixels, hidden)):
        lines = {line.get_label(): line.get_ydata() for line in axes.lines}
        expected = 100 * (values[:, 2] - values[:, 0]).mean(axis=0)
        np.testing.assert_allclose(lines["rate 0.2"], expected)
    _, right = draw_readme.draw_loss(RUNS["layer"]).axes
    lines = {line.get_label(): line.get_ydata() for line in right.lines}
    np.testing.assert_allclose(lines["rate 0.4"], LOSS[:, 4].mean(axis=0))


def test_files_and_commands():
    for name in re.findall(r"(?:\(|src=\")(figures/[^)\"]+)", README):
        assert (SCRIPT.parent / name).exists()
    for command in (" && python dropout_sweep.py", " pytest && python -m pytest"):
        assert f"\n    python -m pip install -r requirements.txt{command}\n" in README


CONVOLUTION, BEST = re.findall(r"(?s)```(?:python)?\n(.*?)```", README)


def test_the_code_for_the_best_epoch(tmp_path, monkeypatch, capsys):
    (tmp_path / "figures").mkdir()
    name = "network_dropout_mnist_history.csv"
    shutil.copy(FIGURES / "hidden_dropout" / name, tmp_path / "figures" / name)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.py").write_text(BEST)
    runpy.run_path("best.py")
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    epochs = np.array([int(row[3]) for row in rows]).reshape(20, 10)
    np.testing.assert_array_equal(epochs, RUNS["hidden"]["val_loss"].argmin(axis=2) + 1)


def test_the_edits_of_the_network(monkeypatch):
    text = SCRIPT.read_text(encoding="utf-8")
    for line in re.findall(r"`((?:PairedDropout|optimizer=FusedAdam)\(.*?\),)`", README):
        assert line in text or "epsilon" in line
    values = {**vars(d), "normalization": "layer", "rate": 0.5, "image_shape": (28, 28)}
    parts = eval(f"[{CONVOLUTION}]", values)
    own = re.findall(r"`(?:optimizer=)?(keras\.(?:layers|optimizers)\..*?),`", README)
    dropout, adam = (eval(code, values) for code in own)
    network = keras.Sequential([*parts, dropout, keras.layers.Dense(10, "softmax")])
    network.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels, *_ = d.draw_digits(300, 10)
    network.fit(images, labels, epochs=6, verbose=0)
    assert network.evaluate(images, labels, verbose=0)[1] > 0.5
