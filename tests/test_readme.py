"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import re
from code import InteractiveInterpreter

import keras
import numpy as np
from conftest import FIGURES, RATES, SCRIPT, read_run

import dropout_sweep as d

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
THIRTY, _ = read_run(FIGURES / "thirty_epochs")
HIDDEN, _ = read_run(FIGURES / "hidden_dropout")
EPSILON, _ = read_run(FIGURES / "adam_epsilon")
# In the order of the README's table: layer, batch and no normalization, and the hidden layer.
ACCURACIES = 100 * np.concatenate([THIRTY, HIDDEN])["val_accuracy"]  # [4, seeds, rates, epochs]
LATE = np.median(ACCURACIES[..., 20:30], axis=3)
AFTER_1 = ACCURACIES[0, ..., 0]
AFTER_10 = ACCURACIES[0, ..., 9]
LOSS = THIRTY["val_loss"][0]
BEST_LOSS = LOSS.min(axis=2)
BEST_EPOCH = np.median(LOSS.argmin(axis=2) + 1, axis=0)


def level(values: np.ndarray, rate: float, digits: int = 2) -> str:
    mean = values[:, RATES.index(rate)].mean()
    return f"{mean.round(9):.{digits}f}"  # 0.645 might come as 0.64499999999


def gain(values: np.ndarray, rate: float) -> str:
    """Returns a rate's difference from rate 0.0 with its interval, as the README writes it."""
    row = RATES.index(rate)
    mean, half_width = (result[row].round(9) for result in d.compare_with_first(values))
    return f"{mean:+.2f} ± {half_width:.2f}".replace("-", "−")


def verdicts(values: np.ndarray) -> list[int]:
    """Returns 1 for each rate that is better than the first, -1 where it is worse, or 0."""
    mean, half_width = d.compare_with_first(values)
    return (np.sign(mean) * (abs(mean) > half_width)).tolist()


def falls(history: np.ndarray) -> int:
    """Returns in how many seeds rate 0.0 falls by 0.3 points below its best."""
    training = 100 * history["accuracy"][:, 0]
    below = np.maximum.accumulate(training, axis=1) - training
    assert below[:, :17].max() < 0.3  # as long as epoch 17
    return (below.max(axis=1) > 0.3).sum()


# The epochs from which the means of rates 0.2 to 0.5 stay above that of rate 0.0.
MEANS = ACCURACIES[0].mean(axis=0)
CROSSINGS = [np.flatnonzero(means <= MEANS[0]).max() + 2 for means in MEANS[2:6]]
SENTENCES = [
    f"rate 0.2 by {gain(AFTER_1, 0.2)[1:]} percentage points of validation accuracy",
    f"rate 0.5 by {gain(AFTER_1, 0.5)[1:]}",
    f"After ten epochs rate 0.2 is ahead by {gain(AFTER_10, 0.2)[1:]}",
    f"late in thirty epochs rate 0.4 is, by {gain(LATE[0], 0.4)[1:]}",
    f"{level(LATE[0], 0.4)} % against {level(LATE[0], 0.0)} %",
    "from epochs {}, {}, {} and {} on".format(*CROSSINGS),
    f"in {falls(THIRTY[0])} of {len(LOSS)} seeds training accuracy falls, after epoch 17",
    f"no seed of {len(EPSILON[0])} falls",
    f"rises from {level(LOSS[..., 9], 0.0, 3)} after ten epochs",
    f"to {level(np.median(LOSS[..., 20:30], axis=2), 0.0, 3)} late",
    f"from {level(AFTER_10, 0.0)} % to {level(LATE[0], 0.0)} %",
    f"({BEST_EPOCH[4]:.0f}, the median of the seeds) rate 0.4 has a loss of {level(BEST_LOSS, 0.4, 3)}",
    f"rate 0.0 (epoch {BEST_EPOCH[0]:.0f}) one of {level(BEST_LOSS, 0.0, 3)}",
]


def test_the_numbers_in_the_text():
    assert falls(EPSILON[0]) == 0
    assert [each for each in SENTENCES if each not in " ".join(README.split())] == []


def test_the_table():
    for accuracies, late, best in zip(ACCURACIES, LATE, (0.4, 0.4, 0.3, 0.0)):
        assert RATES[late.mean(axis=0).argmax()] == best
        best_gain = f"{gain(late, best)} " if best else ""
        cells = f"{level(late, 0.0)} % | {best}: {level(late, best)} % | {best_gain}| "
        assert cells + gain(accuracies[..., 9], 0.2) + " |" in README


def test_what_the_text_says_without_numbers():
    for accuracies in ACCURACIES:
        assert verdicts(accuracies[..., 0]) == [0] + 9 * [-1]  # after one epoch all are worse
        for epoch in range(30):
            assert verdicts(accuracies[..., epoch])[8:] == [-1, -1]  # rates 0.8 and 0.9
    best_first = np.roll(LATE[0], -4, axis=1)  # rates 0.4 to 0.9, 0.0 to 0.3
    assert verdicts(best_first) == [0, 0] + 7 * [-1] + [0]  # alike: 0.4, 0.5 and 0.3
    assert max(verdicts(ACCURACIES[2, ..., 9])) == 0
    batch, layer, none = LATE[[1, 0, 2]].mean(axis=1)
    assert batch.max() < layer.max() < none.max() and batch[0] < layer[0] < none[0]
    mean, half_width = d.compare_with_first(LATE[3])
    assert (mean + half_width)[1:].max() < 0.025
    assert verdicts(LATE[3])[3:] == 7 * [-1]
    assert 0.78 < BEST_LOSS[:, 4].mean() / BEST_LOSS[:, 0].mean() < 0.82  # a fifth lower
    for accuracies, epoch in ((ACCURACIES[0], 26), (ACCURACIES[3], 29)):  # rate 0.0 jumps
        jumps = np.diff(accuracies.mean(axis=0))[:, epoch - 2]
        assert jumps[0] < -0.05 and abs(jumps[2:8]).max() < 0.6 * abs(jumps[0])


def test_how_often_a_gain_is_found():
    random = np.random.default_rng(0)
    means = AFTER_10.mean(axis=0)
    for seeds, least, most in ((5, 0, 0.5), (10, 0.5, 1)):
        sweeps = random.multivariate_normal(means, np.cov(AFTER_10.T), [200, seeds])
        assert least < np.mean([verdicts(sweep)[2] == 1 for sweep in sweeps]) < most


CONVOLUTION, BEST = re.findall(r"(?s)```(?:python)?\n(.*?)```", README)


def test_the_code_for_the_best_epoch(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "figures").symlink_to(FIGURES / "hidden_dropout")
    InteractiveInterpreter().runcode(BEST)
    epochs = [int(line.split()[3]) for line in capsys.readouterr().out.splitlines()]
    np.testing.assert_array_equal(epochs, HIDDEN["val_loss"].argmin(axis=3).reshape(-1) + 1)


def test_the_edits_of_the_network(digits):
    for line in re.findall(r"`((?:PairedDropout|optimizer=FusedAdam)\(.*?\),)`", README):
        assert line in SCRIPT.read_text(encoding="utf-8") or "epsilon" in line
    values = {**vars(d), "normalization": "layer", "rate": 0.5, "image_shape": (28, 28)}
    parts = eval(f"[{CONVOLUTION}]", values)
    own = re.findall(r"`(?:optimizer=)?(keras\.(?:layers|optimizers)\..*?),`", README)
    dropout, adam = (eval(code, values) for code in own)
    network = keras.Sequential([*parts, dropout, keras.layers.Dense(10, "softmax")])
    network.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = np.load(digits)
    network.fit(data["x_train"], data["y_train"], epochs=6, verbose=0)
    assert network.evaluate(data["x_train"], data["y_train"], verbose=0)[1] > 0.5
