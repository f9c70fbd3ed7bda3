"""The README says what the committed runs carry: its numbers are computed again from their CSVs."""

import re
from code import InteractiveInterpreter

import keras
import numpy as np
import pytest
from conftest import FIGURES, RATES, SCRIPT, read_run

import dropout_sweep as d

README = (SCRIPT.parent / "README.md").read_text(encoding="utf-8")
THIRTY = read_run(FIGURES / "thirty_epochs")
HIDDEN = read_run(FIGURES / "hidden_dropout")
EPSILON = read_run(FIGURES / "adam_epsilon")
# In the order of the README's table: layer, batch and no normalization, and the hidden layer.
ACCURACIES = 100 * np.concatenate([THIRTY, HIDDEN])["val_accuracy"]  # [4, seeds, rates, epochs]
LATE = np.median(ACCURACIES[..., 20:30], axis=3)
AFTER_1 = ACCURACIES[0, ..., 0]
AFTER_10 = ACCURACIES[0, ..., 9]
NUMBER = r"[+−]?\d+(?:[.,]\d+)*"
PARAGRAPHS = [re.findall(NUMBER, text) for text in re.split(r"\n\n|\n- |\n\|", README)]


def level(values: np.ndarray, rate: float, digits: int = 2) -> str:
    mean = values[:, RATES.index(rate)].mean()
    return f"{mean.round(9):.{digits}f}"  # 0.645 might come as 0.64499999999


def gain(values: np.ndarray, rate: float) -> list[str]:
    """Returns a rate's difference from rate 0.0 and its interval, as the README writes them."""
    row = RATES.index(rate)
    mean, half_width = (result[row].round(9) for result in d.compare_with_first(values))
    return [f"{mean:+.2f}".replace("-", "−"), f"{half_width:.2f}"]


def verdicts(values: np.ndarray) -> list[int]:
    """Returns 1 for each rate that is better than the first, -1 where it is worse, or 0."""
    mean, half_width = d.compare_with_first(values)
    return (np.sign(mean) * (abs(mean) > half_width)).tolist()


def falls(history: np.ndarray) -> int:
    """Returns in how many seeds rate 0.0 falls by 0.3 points below its best, after epoch 17."""
    training = 100 * history["accuracy"][:, 0]
    below = np.maximum.accumulate(training, axis=1) - training
    assert below[:, :17].max() < 0.3
    return (below.max(axis=1) > 0.3).sum()


# Epochs from which the means of rates 0.2 to 0.5 stay above that of rate 0.0.
MEANS = ACCURACIES[0].mean(axis=0)
CROSSINGS = [f"{np.flatnonzero(mean <= MEANS[0]).max() + 2}" for mean in MEANS[2:6]]
# Gain of the rate that ten seeds pick as the best, in these seeds and in the others.
PICKED = LATE[0, :10].mean(axis=0).argmax()
PICKED_GAINS = (LATE[0, :, PICKED] - LATE[0, :, 0]).reshape(2, 10).mean(axis=1)
LOSS = THIRTY["val_loss"][0]
LOSSES = [level(LOSS[..., 9], 0.0, 3), level(np.median(LOSS[..., 20:30], axis=2), 0.0, 3)]
CLAIMS = [
    ["0.2", "0.3", "0.4", "0.5", *CROSSINGS],
    ["0.2", *gain(AFTER_1, 0.2), "0.5", *gain(AFTER_1, 0.5)],
    ["0.2", *gain(AFTER_10, 0.2), "0.4", *gain(LATE[0], 0.4)],
    [level(LATE[3], 0.0), "0.0", *gain(ACCURACIES[3, ..., 9], 0.2)],
    [f"{falls(THIRTY[0])}", f"{len(LOSS)}", "17", "0.3"],
    [*LOSSES, level(AFTER_10, 0.0), level(LATE[0], 0.0)],
    [f"{RATES[PICKED]}", *(f"{mean:.2f}" for mean in PICKED_GAINS)],
]
for late, accuracies, best in zip(LATE, ACCURACIES, (0.4, 0.4, 0.3)):
    claim = [level(late, 0.0), f"{best}", *gain(late, best), *gain(accuracies[..., 9], 0.2)]
    CLAIMS.append(claim)


@pytest.mark.parametrize("claim", CLAIMS)
def test_numbers_stand_in_a_paragraph_in_this_order(claim):
    def stand(numbers: list[str]) -> bool:
        rest = iter(numbers)
        return all(any(each in (number, number.lstrip("+−")) for each in rest) for number in claim)

    assert any(map(stand, PARAGRAPHS))


def test_what_the_text_says_without_numbers():
    assert LATE.mean(axis=1).argmax(axis=1).tolist() == [4, 4, 3, 0]  # the best rates
    assert falls(EPSILON[0]) == 0 and len(EPSILON[0]) == 16
    for accuracies in ACCURACIES:
        assert verdicts(accuracies[..., 0]) == [0] + 9 * [-1]  # after one epoch all are worse
        assert verdicts(accuracies)[8:] == 2 * [30 * [-1]]  # rates 0.8 and 0.9 in every epoch
    best_first = np.roll(LATE[0], -4, axis=1)  # rates 0.4 to 0.9, 0.0 to 0.3
    assert verdicts(best_first) == [0, 0] + 7 * [-1] + [0]  # alike: 0.4, 0.5 and 0.3
    assert max(verdicts(ACCURACIES[2, ..., 9])) == 0
    batch, layer, none = LATE[[1, 0, 2]].mean(axis=1)
    assert batch.max() < layer.max() < none.max() and batch[0] < layer[0] < none[0]
    assert d.compare_with_first(LATE[3])[0].max() < 0.02 and verdicts(LATE[3])[3:] == 7 * [-1]
    assert 2 <= (np.diff(ACCURACIES[0, :, 0])[:, 24] < -0.5).sum() <= 5  # fail at epoch 26


CONVOLUTION, SAVE = re.findall(r"(?s)```(?:python)?\n(.*?)```", README)
DROPOUT = r"PairedDropout\(rate\),"
HIDDEN_LAST = r'keras.layers.Dense(HIDDEN_UNITS, activation="tanh"), PairedDropout(rate),'
OWN = re.findall(r"`((?:keras\.layers|optimizer=)[^`]*\),)`", README)
EDITS = [("keras.Input.*?" + DROPOUT, CONVOLUTION), (DROPOUT + '.*?"tanh"..', HIDDEN_LAST)]
EDITS += [("optimizer=.*?\n" if "optimizer" in edit else DROPOUT, edit + "\n") for edit in OWN]


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_edits_of_the_network_learn(old, new, digits):
    text, changes = re.subn(f"(?s) {old}", new, SCRIPT.read_text(encoding="utf-8"), count=1)
    assert changes == 1 and len(EDITS) == 6
    names = {"__name__": "edited"}
    InteractiveInterpreter(names).runcode(compile(text, "edited", "exec"))
    network = names["build_network"]("layer", 0.1, (28, 28), 10)
    data = np.load(digits)
    for _ in range(20):
        network.train_step((data["x_train"], data["y_train"]))
    right = np.argmax(network(data["x_train"]), axis=1) == data["y_train"]
    assert right.mean() > 0.5


def test_a_trained_network_is_saved_by_two_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = d.build_network("layer", 0.2, (28, 28), 10)
    images = np.zeros([9, 28, 28])
    network.fit(images, np.zeros(9), verbose=0)
    names = {"__name__": "__main__", "networks": {0.2: network}}
    InteractiveInterpreter(names).runcode(compile(SAVE, "saved", "exec"))
    loaded = keras.models.load_model(tmp_path / "rate_0.2.keras")
    np.testing.assert_array_equal(loaded.predict(images), network.predict(images))
    loaded.fit(images, np.zeros(9), verbose=0)
    assert int(loaded.optimizer.iterations) == 2 and loaded.layers[3].rate == 0.2
