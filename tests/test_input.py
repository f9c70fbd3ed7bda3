"""Constants, files and places that cannot work: one sentence each, and nothing is written."""

import io
import os
import zipfile

import numpy as np
import pytest
from conftest import contents, run

import dropout_sweep

NAN, INFINITY = float("nan"), float("inf")
CONSTANTS = [
    "DROPOUT_RATES",
    "NORMALIZATIONS",
    "SEEDS",
    "EPOCHS",
    "BATCH_SIZE",
    "HIDDEN_UNITS",
    "LEARNING_RATE",
    "DATA_FILE",
    "FIGURES_DIR",
]
WRONG = {
    "DROPOUT_RATES": [
        0.5, "0.5", None, [],
        [1.0], [-0.1], [NAN], [INFINITY], ["0.1"], [True], [[0.1]], [0.1, 0.1],
        [0, 0.0], {0.1: 0.2},
    ],
    "NORMALIZATIONS": [None, "layer", [], ["group"], ["layer", "layer"], [True], [["layer"]], [0]],
    "SEEDS": [0, None, [], [-1], [0.5], ["0"], [True], [0, 0], [2**31], [NAN]],
    "EPOCHS": [0, -1, 1.0, "10", None, True, [10], NAN, INFINITY],
    "BATCH_SIZE": [0, -1, 1.0, "10", None, True, [10], NAN, INFINITY],
    "HIDDEN_UNITS": [0, -1, 1.0, "10", None, True, [10], NAN, INFINITY],
    "LEARNING_RATE": [0, 0.0, -0.1, "0.1", None, True, [0.1], NAN, INFINITY],
    "DATA_FILE": ["", 0, True, ["mnist.npz"], b"mnist.npz", "a\0b"],
    "FIGURES_DIR": ["", None, 0, True, ["figures"], "a\0b"],
}  # fmt: skip
RIGHT = {
    "DROPOUT_RATES": [[0], [0.999], [0.5, 0.1], (0.0, 0.5)],
    "NORMALIZATIONS": [[None], ["batch", "layer", None]],
    "SEEDS": [[2**31 - 1, 0]],
    "BATCH_SIZE": [1, 10**9],
    "LEARNING_RATE": [1, 1e-9],
}


@pytest.fixture
def defaults() -> dict:
    return {name: getattr(dropout_sweep, name) for name in CONSTANTS}


@pytest.mark.parametrize("name", WRONG)
def test_constants_that_cannot_work(name, defaults):
    for value in WRONG[name]:
        with pytest.raises(dropout_sweep.UserError) as caught:
            dropout_sweep.check_constants(defaults | {name: value})
        sentence = str(caught.value)
        assert sentence.startswith(f"{name} is {value!r}; it may be ") and "\n" not in sentence


def test_constants_that_can_work(defaults):
    dropout_sweep.check_constants(defaults)
    for name, values in RIGHT.items():
        for value in values:
            dropout_sweep.check_constants(defaults | {name: value})


def archive(**changes) -> dict[str, np.ndarray]:
    """Returns arrays of a small data set that works, with changes."""
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(256, size=(20, 4, 5)).astype(np.uint8),
        "y_train": np.arange(20) % 3,
        "x_test": rng.integers(256, size=(6, 4, 5)).astype(np.uint8),
        "y_test": np.arange(6) % 3,
    }
    return arrays | changes


def refuse(path, problem: str) -> None:
    with pytest.raises(dropout_sweep.UserError) as caught:
        dropout_sweep.read_archive(path)
    sentence = str(caught.value)
    assert sentence.startswith(f"DATA_FILE is {str(path)!r}: ") and problem in sentence
    assert "it may be" in sentence and "\n" not in sentence


X, Y = archive()["x_train"], archive()["y_train"]


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"x_train": X[:-1]}, "differ in length"),
        ({"y_test": Y}, "differ in length"),
        ({"y_train": Y / 1}, "y_train holds float64"),
        ({"y_train": Y - 1}, "negative"),
        ({"y_test": np.full(6, 3)}, "that y_train does not"),
        ({"y_train": Y + 65_536}, "more than 65,536"),
        ({"y_train": Y[:, None]}, "differ in length"),
        ({"x_test": archive()["x_test"][:, :, 1:]}, "different sizes"),
        ({"x_train": X / 255}, "x_train holds float64"),
        ({"x_train": X > 9}, "x_train holds bool"),
        ({"x_train": X.astype(int) + 1}, "outside 0-255"),
        ({"x_train": X.astype(int) - 1}, "outside 0-255"),
        ({"x_test": X[:0], "y_test": Y[:0]}, "x_test holds no images"),
        ({"x_train": X[:0], "y_train": Y[:0]}, "x_train holds no images"),
        ({"x_train": X[:, 0, 0]}, "x_train holds no images"),
        ({"x_train": X.astype(object)}, "damaged, or not such an archive"),
        ({"y_train": np.array(["0"] * 20)}, "y_train holds <U1"),
    ],
)
def test_archives_that_cannot_work(changes, problem, tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **archive(**changes))
    refuse(path, problem)


def test_files_that_are_no_archive(tmp_path):
    refuse(tmp_path / "missing.npz", "No such file")
    refuse(tmp_path, "directory")
    path = tmp_path / "data.npz"
    path.write_bytes(b"")
    refuse(path, "not a whole .npz archive")
    path.write_text("hello")
    refuse(path, "not a whole .npz archive")
    np.save(tmp_path / "data.npy", X)
    refuse(tmp_path / "data.npy", "not a whole .npz archive")
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme.txt", "hello")
    refuse(path, "no array named x_train, y_train, x_test, y_test")
    with zipfile.ZipFile(path, "w") as file:
        for name in archive():
            file.writestr(f"{name}.npy", "hello")
    refuse(path, "DATA_FILE")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all files")
def test_an_unreadable_file(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, **archive())
    path.chmod(0)
    refuse(path, "ermission")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_archive_truncated_or_changed_at_any_byte(save, tmp_path):
    buffer = io.BytesIO()
    save(buffer, **archive())
    whole = buffer.getvalue()
    path = tmp_path / "data.npz"
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        refuse(path, "DATA_FILE")
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        try:
            arrays = dropout_sweep.read_archive(path)
        except dropout_sweep.UserError:
            continue
        for name, array in archive().items():  # then it was a byte that does not matter
            np.testing.assert_array_equal(arrays[name], array)


def test_any_integers_will_do(tmp_path):
    for kind in (np.int8, np.uint64, np.int32, ">i2"):
        labels = {name: archive()[name].astype(kind) for name in ("y_train", "y_test")}
        np.savez(tmp_path / "data.npz", **archive(**labels))
        arrays = dropout_sweep.read_archive(tmp_path / "data.npz")
        assert arrays["y_train"].dtype == np.int64
        np.testing.assert_array_equal(arrays["y_train"], archive()["y_train"])


def test_a_batch_larger_than_the_data_other_sizes_and_classes(tmp_path):
    np.savez(tmp_path / "tiny.npz", **archive())
    status, output, errors = run(
        tmp_path, DATA_FILE="tiny.npz", BATCH_SIZE=10**9, EPOCHS=1, DROPOUT_RATES=[0, 0.5]
    )
    assert (status, errors) == (0, "") and output.startswith("tiny: 2 networks")


@pytest.mark.parametrize(
    "constants, sentence",
    [
        ({"EPOCHS": 0}, "dropout_sweep.py: EPOCHS is 0; it may be a whole number from 1."),
        (
            {"DATA_FILE": "missing.npz"},
            "dropout_sweep.py: DATA_FILE is 'missing.npz': No such file",
        ),
        ({"FIGURES_DIR": "a file"}, "dropout_sweep.py: FIGURES_DIR is 'a file', where the run"),
        ({"FIGURES_DIR": "/proc/figures"}, "dropout_sweep.py: FIGURES_DIR is '/proc/figures'"),
    ],
)
def test_the_script_says_so_and_writes_nothing(constants, sentence, digits, tmp_path):
    (tmp_path / "a file").write_text("kept")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "network_dropout_digits_history.csv").write_text("kept")
    before = contents(tmp_path)
    status, output, errors = run(tmp_path, **{"DATA_FILE": str(digits)} | constants)
    assert (status, output) == (2, "")
    assert errors.startswith(sentence) and len(errors.splitlines()) == 1
    assert contents(tmp_path) == before and (tmp_path / "a file").read_text() == "kept"


def test_an_argument_on_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["dropout_sweep.py", "--help"])
    monkeypatch.setattr(dropout_sweep.tf.config.threading, "set_intra_op_parallelism_threads", int)
    with pytest.raises(SystemExit) as caught:
        dropout_sweep.main()
    assert caught.value.code == 2 and list(tmp_path.iterdir()) == []
    assert "'--help'" in capsys.readouterr().err
