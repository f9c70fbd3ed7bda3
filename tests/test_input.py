"""Constants, files and places that cannot work: one sentence each, and nothing is lost."""

import io
import sys

import numpy as np
import pytest
from conftest import contents

import dropout_sweep as d

NAN = float("nan")
NOT_WHOLE = [0, -1, 1.0, "10", None, [10], NAN, float("inf")]
NOT_RATES = [[], [1.0], [-0.1], [NAN], ["0.1"], [[0.1]], [0.1, 0.1], [0, 0.0], 0.5, "0.5", None]
WRONG = {
    "DROPOUT_RATES": [{0.1: 0.2}, *NOT_RATES],
    "NORMALIZATIONS": [None, "layer", [], ["group"], [["layer"]], [0]],
    "SEEDS": [0, None, [], [-1], [0.5], ["0"], [0, 0], [2**31], [NAN], "01"],
    **dict.fromkeys(["EPOCHS", "BATCH_SIZE", "HIDDEN_UNITS"], NOT_WHOLE),
    "LEARNING_RATE": [0, 0.0, -0.1, "0.1", None, [0.1], NAN, float("inf")],
    "DATA_FILE": [0, True, ["mnist.npz"], b"mnist.npz"],
    "FIGURES_DIR": [None, 0, True, ["figures"]],
    "DATASET": ["", None, "imdb", "MNIST", 0, ["mnist"]],
    "FIGURE_FORMAT": ["", None, "jpg", "PNG", 0, ["png"]],
}
X, Y = np.arange(20 * 4 * 5, dtype=np.uint8).reshape(20, 4, 5), np.arange(20) % 3
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:6], "y_test": Y[:6]}
CHANGES = [
    {"x_train": X[:-1]},
    {"y_test": Y[:5]},
    {"y_train": Y / 1},
    {"y_train": Y - 1},
    {"y_test": np.full(6, 3)},
    {"x_test": X[:6, :, 1:]},
    {"x_train": X.astype(int) + 200},
    {"x_test": X[:6].astype(int) - 1},
    {"x_test": X[:0], "y_test": Y[:0]},
    {"x_train": X[:, 0, 0], "x_test": X[:6, 0, 0]},
    {"x_train": X.astype(object)},
    {"y_train": Y.astype(str)},
]


def refused(function, *arguments) -> str:
    """Returns the sentence by which the function ends the run."""
    with pytest.raises(SystemExit) as caught:
        function(*arguments)
    assert "it must" in caught.value.code and "\n" not in caught.value.code
    return caught.value.code


@pytest.mark.parametrize("name", WRONG)
def test_constants(name, monkeypatch):
    d.check_constants()
    for value in WRONG[name]:
        monkeypatch.setattr(d, name, value)
        assert refused(d.main).startswith(f"{name} is {value!r}; it must be ")


def test_data_files(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    monkeypatch.setattr(d, "DATA_FILE", path)
    for changes in [*CHANGES, None, {}]:
        if changes is None:
            path.unlink()
        elif changes == {}:
            path.write_bytes(b"no archive")
        else:
            np.savez(path, **ARRAYS | changes)
        assert refused(d.read_data_file).startswith(f"DATA_FILE is {str(path)!r}")


def test_odd_data_names_and_settings_that_work(tmp_path, monkeypatch):
    """Labels in a column, images of wide numbers in rows, more in a batch than there are."""
    monkeypatch.setenv("HOME", str(tmp_path))
    labels = {"y_train": Y[:, None].astype(">i2"), "y_test": Y[:6, None]}
    rows = X.reshape(20, 20)
    images = {"x_train": rows.astype(np.int64), "x_test": np.asfortranarray(rows[:6])}
    np.savez(tmp_path / "数.npz", **ARRAYS | labels | images)
    strange = 'a,"b"$\n数'
    table = {strange: lambda: d.keras.layers.GroupNormalization(groups=4)}
    monkeypatch.setattr(d, "NORMALIZATION_LAYERS", d.NORMALIZATION_LAYERS | table)
    settings = {"DATA_FILE": "~/数.npz", "FIGURES_DIR": "~/figures", "NORMALIZATIONS": [strange]}
    settings |= {"SEEDS": range(2), "BATCH_SIZE": 10**9, "DROPOUT_RATES": (0.1 * 3, 0), "EPOCHS": 1}
    settings |= {"FIGURE_FORMAT": "svg", "LEARNING_RATE": 1.0}
    for name, value in settings.items():
        monkeypatch.setattr(d, name, value)
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # it cannot show the names
    monkeypatch.setattr(sys, "stdout", terminal)
    d.main()
    files = contents(tmp_path)
    assert len(files) == 7 and files["network_dropout_数_accuracy.svg"].startswith(b"<?xml")
    final = files["network_dropout_数_final.csv"].decode()
    assert final.count('"a,""b""$\n数"') == 4 and ",0.3," in final


def test_other_sets_of_keras(monkeypatch):
    labels = np.arange(9, dtype=np.uint8)[:, None]
    sets = [(np.full([9, 32, 32, 3], pixel, np.uint8), labels) for pixel in (1, 2)]
    monkeypatch.setattr(d.keras.datasets.cifar10, "load_data", lambda: sets)
    monkeypatch.setattr(d, "DATASET", "cifar10")
    name, (x_train, y_train, x_test, y_test) = d.load_data()
    assert (name, x_train.shape, x_test.shape) == ("cifar10", (9, 32, 32, 3), (9, 32, 32, 3))
    assert (x_train == 1).all() and (x_test == 2).all()
    np.testing.assert_array_equal([y_train, y_test], [range(9), range(9)])


def test_places_that_cannot_be_written_lose_nothing(digits, tmp_path, monkeypatch):
    monkeypatch.setattr(d, "DATA_FILE", digits)
    (tmp_path / "a file").write_text("kept")
    for folder in (tmp_path / "a file", "/proc/figures", "a\0b"):
        monkeypatch.setattr(d, "FIGURES_DIR", str(folder))
        assert refused(d.main).startswith(f"FIGURES_DIR is {str(folder)!r}, where ")
    assert (tmp_path / "a file").read_text() == "kept"


@pytest.mark.skipif(sys.platform != "linux", reason="limits are set otherwise elsewhere")
def test_a_full_disk_loses_nothing(digits, tmp_path, monkeypatch):
    import resource

    monkeypatch.setattr(d, "DATA_FILE", digits)
    monkeypatch.setattr(d, "FIGURES_DIR", str(tmp_path))
    kept = tmp_path / "network_dropout_digits_history.csv"
    kept.write_text("kept")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, limits[1]))  # of any file
    try:
        sentences = [refused(d.main), refused(d.write_file, kept.name, bytes(40_000))]
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert all(each.startswith(f"FIGURES_DIR is {str(tmp_path)!r}, where ") for each in sentences)
    assert [path.name for path in tmp_path.iterdir()] == [kept.name]
    assert kept.read_text() == "kept"
