"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import re
import runpy

import keras
import numpy as np
from conftest import FIGURES, RATES, SCRIPT, read_run

import dropout_sweep as d

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
NAMES, THIRTY, _ = read_run(FIGURES / "thirty_epochs")
RUNS = dict(zip(NAMES, THIRTY))  # HISTORY [seeds, rates, epochs]
RUNS |= {name: read_run(FIGURES / name)[1][0] for name in ("hidden_dropout", "adam_epsilon")}
KINDS = ["layer", "batch", "none", "hidden_dropout"]
LOSS = RUNS["layer"]["val_loss"]
BEST_LOSS = LOSS.min(axis=2)
BEST_EPOCH = np.median(LOSS.argmin(axis=2) + 1, axis=0)
# All of these: float [seeds, rates]; accuracies in %; late is the median of epochs 21 to 30.
AFTER = {run: 100 * np.moveaxis(RUNS[run]["val_accuracy"], 2, 0) for run in KINDS}  # by epoch
LATE = {run: 100 * np.median(RUNS[run]["val_accuracy"][..., 20:30], axis=2) for run in KINDS}


def level(values: np.ndarray, rate: float, digits: int = 2) -> str:
    return f"{values[:, RATES.index(rate)].mean():.{digits}f}"


def gain(values: np.ndarray, rate: float) -> str:
    """Returns a rate's difference from rate 0.0 with its interval, as the README writes it."""
    mean, half_width = d.compare_with_first(values)
    row = RATES.index(rate)
    return f"{mean[row]:+.2f} ± {half_width[row]:.2f}".replace("-", "−")


def judged(values: np.ndarray, sign: int) -> list[float]:
    """Returns the rates that are better (1) or worse (-1) than rate 0.0."""
    mean, half_width = d.compare_with_first(values)
    return [rate for rate, m, h in zip(RATES[1:], mean[1:], half_width[1:]) if sign * m > h]


def falls(run: str) -> int:
    """Returns in how many seeds rate 0.0 falls by 0.3 points below its best."""
    training = 100 * RUNS[run]["accuracy"][:, 0]
    below = np.maximum.accumulate(training, axis=1) - training
    assert below[:, :17].max() < 0.3  # as long as epoch 17
    return (below.max(axis=1) > 0.3).sum()


def crossing(rate: float) -> int:
    """Returns the epoch from which the mean stays above that of rate 0.0."""
    means = AFTER["layer"].mean(axis=1)
    return np.flatnonzero(means[:, RATES.index(rate)] <= means[:, 0]).max() + 2


AFTER_1, AFTER_10 = AFTER["layer"][0], AFTER["layer"][9]
SENTENCES = [
    f"rate 0.2 by {gain(AFTER_1, 0.2)[1:]} percentage points of validation accuracy",
    f"rate 0.5 by {gain(AFTER_1, 0.5)[1:]}",
    f"After ten epochs rate 0.2 is ahead by {gain(AFTER_10, 0.2)[1:]}",
    f"late in thirty epochs rate 0.4 is, by {gain(LATE['layer'], 0.4)[1:]}",
    f"{level(LATE['layer'], 0.4)} % against {level(LATE['layer'], 0.0)} %",
    f"from epochs {crossing(0.2)}, {crossing(0.3)}, {crossing(0.4)} and {crossing(0.5)} on",
    f"in {falls('layer')} of {len(LOSS)} seeds training accuracy falls, after epoch 17",
    f"no seed of {len(RUNS['adam_epsilon'])} falls",
    f"rises from {level(LOSS[..., 9], 0.0, 3)} after ten epochs",
    f"to {level(np.median(LOSS[..., 20:30], axis=2), 0.0, 3)} late",
    f"from {level(AFTER_10, 0.0)} % to {level(LATE['layer'], 0.0)} %",
    f"({BEST_EPOCH[4]:.0f}, the median of the seeds) rate 0.4 has a loss of {level(BEST_LOSS, 0.4, 3)}",
    f"rate 0.0 (epoch {BEST_EPOCH[0]:.0f}) one of {level(BEST_LOSS, 0.0, 3)}",
]


def test_the_numbers_in_the_text():
    assert falls("adam_epsilon") == 0
    assert [each for each in SENTENCES if each not in " ".join(README.split())] == []


def test_the_table():
    for run, best in zip(KINDS, (0.4, 0.4, 0.3, 0.0)):
        assert RATES[LATE[run].mean(axis=0).argmax()] == best
        cells = [f"{level(LATE[run], 0.0)} %", f"{best}: {level(LATE[run], best)} %"]
        cells += [gain(LATE[run], best) if best else "", gain(AFTER[run][9], 0.2)]
        assert " | ".join(cells).replace("|  |", "| |") + " |" in README


def test_what_the_text_says_without_numbers():
    for run in KINDS:
        assert judged(AFTER[run][0], -1) == RATES[1:]  # after one epoch every rate is worse
        assert all({0.8, 0.9} <= set(judged(values, -1)) for values in AFTER[run])
    best_first = [4, 0, 1, 2, 3, 5, 6, 7, 8, 9]
    mean, half_width = d.compare_with_first(LATE["layer"][:, best_first])
    like_the_best = [RATES[row] for row, high in zip(best_first, mean + half_width) if high >= 0]
    assert sorted(like_the_best) == [0.3, 0.4, 0.5]
    assert judged(AFTER["none"][9], 1) == []
    means = np.array([LATE[run].mean(axis=0) for run in ("batch", "layer", "none")])
    assert (np.diff(means.max(axis=1)) > 0).all() and (np.diff(means[:, 0]) > 0).all()
    mean, half_width = d.compare_with_first(LATE["hidden_dropout"])
    assert (mean + half_width)[1:].max() < 0.025
    assert judged(LATE["hidden_dropout"], -1) == RATES[3:]
    assert 0.78 < BEST_LOSS[:, 4].mean() / BEST_LOSS[:, 0].mean() < 0.82
    for run, epoch in (("layer", 26), ("hidden_dropout", 29)):  # the jumps are those of rate 0.0
        jumps = np.diff(AFTER[run].mean(axis=1), axis=0)[epoch - 2]
        assert jumps[0] < -0.05 and abs(jumps[2:8]).max() < 0.6 * abs(jumps[0])


def test_how_often_a_gain_is_found():
    random = np.random.default_rng(0)
    for seeds, least, most in ((5, 0, 50), (10, 50, 100)):
        covariance = np.cov(AFTER_10.T)
        sweeps = random.multivariate_normal(AFTER_10.mean(axis=0), covariance, [200, seeds])
        assert least < sum(0.2 in judged(sweep, 1) for sweep in sweeps) / 2 < most


def test_files_and_commands():
    for name in re.findall(r"(?:\(|src=\")(figures/[^)\"]+)", README):
        assert (SCRIPT.parent / name).exists()
    for command in (" && python dropout_sweep.py", " pytest && python -m pytest"):
        assert f"\n    python -m pip install -r requirements.txt{command}\n" in README


CONVOLUTION, BEST = re.findall(r"(?s)```(?:python)?\n(.*?)```", README)


def test_the_code_for_the_best_epoch(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures").symlink_to(FIGURES / "hidden_dropout")
    (tmp_path / "best.py").write_text(BEST)
    runpy.run_path("best.py")
    epochs = [int(line.split()[3]) for line in capsys.readouterr().out.splitlines()]
    expected = RUNS["hidden_dropout"]["val_loss"].argmin(axis=2) + 1
    np.testing.assert_array_equal(epochs, expected.reshape(-1))


def test_the_edits_of_the_network(digits):
    text = SCRIPT.read_text(encoding="utf-8")
    for line in re.findall(r"`((?:PairedDropout|optimizer=FusedAdam)\(.*?\),)`", README):
        assert line in text or "epsilon" in line
    values = {**vars(d), "normalization": "layer", "rate": 0.5, "image_shape": (28, 28)}
    parts = eval(f"[{CONVOLUTION}]", values)
    own = re.findall(r"`(?:optimizer=)?(keras\.(?:layers|optimizers)\..*?),`", README)
    dropout, adam = (eval(code, values) for code in own)
    network = keras.Sequential([*parts, dropout, keras.layers.Dense(10, "softmax")])
    network.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    images, labels = np.load(digits)["x_train"], np.load(digits)["y_train"]
    network.fit(images, labels, epochs=6, verbose=0)
    assert network.evaluate(images, labels, verbose=0)[1] > 0.5
