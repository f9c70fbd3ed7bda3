"""Constants, files and places that cannot work: one sentence each, and nothing is lost."""

import io
import sys
from unittest import mock

import numpy as np
import pytest
from conftest import contents

import dropout_sweep as d

NOT_WHOLE = [0, -1, True, 1.0, "10", None, [10], np.nan]
WRONG = {
    "DROPOUT_RATES": [[], [1.0], [1 - 1e-12], [-0.1], [np.nan], [[0.1]], [0.1 + 0.2, 0.3], None],
    "NORMALIZATIONS": [None, "layer", [], ["group"], [["layer"]], [0], [None, None]],
    "SEEDS": [0, None, [], [-1], [0.5], ["0"], [0, 0], [2**31], [np.nan], "01"],
    **dict.fromkeys(["EPOCHS", "BATCH_SIZE", "HIDDEN_UNITS"], NOT_WHOLE),
    "LEARNING_RATE": [0, 0.0, -0.1, "0.1", None, [0.1], np.nan, np.inf],
    "DATA_FILE": [0, ["mnist.npz"], b"mnist.npz"],
    "FIGURES_DIR": [None, 0, ["figures"]],
    "DATASET": ["", None, "imdb", "MNIST", ["mnist"]],
    "FIGURE_FORMAT": ["", None, "jpg", "PNG", ["png"]],
}
STRANGE = 'a,"b"$\n数'
X = np.arange(20 * 4 * 5, dtype=np.uint8).reshape(20, 4, 5)
Y = np.arange(20) % 3
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:6], "y_test": Y[:6]}
CHANGES = [("x_train", X[:-1]), ("y_test", Y[:5]), ("y_train", Y / 1), ("y_train", Y - 1)]
CHANGES += [("y_test", np.full(6, 3)), ("x_test", X[:6, :, 1:]), ("x_train", X.astype(int) + 200)]
CHANGES += [("x_test", X[:0]), ("y_test", Y[:0]), ("x_train", X / 2), ("y_train", np.eye(20))]


def refused(function, *arguments) -> str:
    """Returns the sentence by which the function ends the run."""
    caught = pytest.raises(SystemExit, function, *arguments)
    assert "it must" in caught.value.code and "\n" not in caught.value.code
    return caught.value.code


@pytest.mark.parametrize("name", WRONG)
def test_constants(name, monkeypatch):
    for value in WRONG[name]:
        monkeypatch.setattr(d, name, value)
        assert refused(d.main).startswith(f"{name} is {value!r}; it must be ")


def test_data_files(tmp_path, monkeypatch):
    paths = [tmp_path / "missing", d.__file__]
    for number, (name, array) in enumerate(CHANGES):
        paths.append(tmp_path / f"{number}.npz")
        np.savez(paths[-1], **ARRAYS | {name: array})
    for path in paths:
        monkeypatch.setattr(d, "DATA_FILE", path)
        assert refused(d.load_data).startswith(f"DATA_FILE is '{path}'")


@mock.patch.multiple(d, DATA_FILE="~/数.npz", FIGURES_DIR="~/figures", NORMALIZATIONS=[STRANGE])
@mock.patch.multiple(d, SEEDS=range(1), EPOCHS=1, BATCH_SIZE=10**9, DROPOUT_RATES=(0.1 * 3, 0))
@mock.patch.multiple(d, FIGURE_FORMAT="svg", LEARNING_RATE=1)
def test_odd_data_names_and_settings_that_work(tmp_path, monkeypatch):
    """Labels in a column, images as rows, a batch of more, a terminal that cannot show names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    labels = {"y_train": Y[:, None].astype(">i2"), "y_test": Y[:6, None]}
    rows = np.asfortranarray(X.reshape(20, 20).astype(np.int64))
    np.savez(tmp_path / "数.npz", **labels, x_train=rows, x_test=rows[:6])
    monkeypatch.setitem(d.NORMALIZATION_LAYERS, STRANGE, d.keras.layers.LayerNormalization)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    damaged = tmp_path / "record.npz"
    damaged.write_bytes(b"PK")
    monkeypatch.setattr(d, "find_record", lambda data: damaged)
    d.main()
    files = contents(tmp_path)
    assert not damaged.exists()
    assert len(files) == 8 and files["network_dropout_数_accuracy.svg"].startswith(b"<?xml")
    history = files["network_dropout_数_history.csv"].decode()
    assert history.count('"a,""b""$\n数"') == 2 and ",0.3," in history


def test_a_place_without_room_or_rights_loses_nothing(digits, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")  # Windows has none
    kept = tmp_path / "network_dropout_digits_history.csv"
    kept.write_text("kept")
    monkeypatch.setattr(d, "DATA_FILE", digits)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # of any file
    try:
        for folder in (kept, "/proc/figures", "a\0b", tmp_path):
            monkeypatch.setattr(d, "FIGURES_DIR", str(folder))
            assert refused(d.main).startswith(f"FIGURES_DIR is {str(folder)!r}, where ")
        refused(d.write_file, kept.name, bytes(40_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == [kept] and kept.read_text() == "kept"
