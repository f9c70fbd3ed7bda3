"""Constants, files and places that cannot work: one sentence each, and nothing is lost."""

import csv
import io
import shutil
import sys

import numpy as np
import pytest
from conftest import contents, load, run, start

import dropout_sweep

NAN = float("nan")
NOT_WHOLE = [0, -1, 1.0, "10", None, True, [10], NAN, float("inf")]
NOT_RATES = [[], [1.0], [-0.1], [NAN], [1e999], ["0.1"], [True], [[0.1]], [0.1, 0.1], [0, 0.0]]
WRONG = {
    "DROPOUT_RATES": [0.5, "0.5", None, {0.1: 0.2}, *NOT_RATES],
    "NORMALIZATIONS": [None, "layer", [], ["group"], ["layer", "layer"], [True], [["layer"]], [0]],
    "SEEDS": [0, None, [], [-1], [0.5], ["0"], [True], [0, 0], [2**31], [NAN], "01"],
    **dict.fromkeys(["EPOCHS", "BATCH_SIZE", "HIDDEN_UNITS"], NOT_WHOLE),
    "LEARNING_RATE": [0, 1, 0.0, -0.1, "0.1", None, True, [0.1], NAN, float("inf")],
    "DATA_FILE": ["", 0, True, ["mnist.npz"], b"mnist.npz", "a\0b"],
    "FIGURES_DIR": ["", None, 0, True, ["figures"], "a\0b"],
    "DATASET": ["", None, "imdb", "MNIST", 0, ["mnist"]],
    "FIGURE_FORMAT": ["", None, "jpg", "PNG", 0, ["png"]],
}
X, Y = np.arange(20 * 4 * 5, dtype=np.uint8).reshape(20, 4, 5), np.arange(20) % 3
ARRAYS = {"x_train": X, "y_train": Y, "x_test": X[:6], "y_test": Y[:6]}
CHANGES = [
    ({"x_train": X[:-1]}, "one label for each"),
    ({"y_train": Y / 1}, "y_train float64 [20]"),
    ({"y_train": Y - 1}, "labels from 0"),
    ({"y_test": np.full(6, 3)}, "none above those in y_train"),
    ({"y_train": Y + 65_536}, "to 65535"),
    ({"x_test": X[:6, :, 1:]}, "images of one size"),
    ({"x_train": X.astype(int) + 200}, "pixels from 0 to 255"),
    ({"x_test": X[:6].astype(int) - 1}, "pixels from 0 to 255"),
    ({"x_test": X[:0], "y_test": Y[:0]}, "some in each"),
    ({"x_train": X[:, 0, 0], "x_test": X[:6, 0, 0]}, "images of one size"),
    ({"x_train": X.astype(object)}, "npz file"),
    ({"y_train": Y.astype(str)}, "y_train <U21"),
]
SENTENCES = {
    "EPOCHS is 0; it must be a whole number from 1.": {"EPOCHS": 0},
    "DATA_FILE is 'missing.npz'; it must be an .npz file with ": {"DATA_FILE": "missing.npz"},
    "FIGURES_DIR is 'a file', where ": {"FIGURES_DIR": "a file"},
    "FIGURES_DIR is '/proc/figures', where ": {"FIGURES_DIR": "/proc/figures"},
}


def refused(function) -> str:
    """Returns the sentence by which the function ends the run."""
    with pytest.raises(SystemExit) as caught:
        function()
    assert "it must" in caught.value.code and "\n" not in caught.value.code
    return caught.value.code


@pytest.mark.parametrize("name", WRONG)
def test_constants(name, monkeypatch):
    for value in WRONG[name]:
        monkeypatch.setattr(dropout_sweep, name, value)
        sentence = refused(dropout_sweep.check_constants)
        assert sentence.startswith(f"{name} is {value!r}; it must be ")


def test_normalizations_that_print_alike_are_refused(monkeypatch):
    monkeypatch.setitem(dropout_sweep.NORMALIZATION_LAYERS, "none", None)
    monkeypatch.setattr(dropout_sweep, "NORMALIZATIONS", [None, "none"])
    assert "differ in print" in refused(dropout_sweep.check_constants)


def test_arrays_that_cannot_work(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    monkeypatch.setattr(dropout_sweep, "DATA_FILE", path)
    for changes, words in CHANGES:
        np.savez(path, **ARRAYS | changes)
        sentence = refused(dropout_sweep.read_data_file)
        assert sentence.startswith(f"DATA_FILE is {str(path)!r}") and words in sentence


def test_an_archive_truncated_or_changed_at_any_byte(tmp_path, monkeypatch):
    path = tmp_path / "data.npz"
    monkeypatch.setattr(dropout_sweep, "DATA_FILE", path)
    np.savez_compressed(path, **ARRAYS)
    content = path.read_bytes()
    for place in range(0, len(content), 3):
        changed = content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :]
        for damaged in (content[:place], changed):
            path.write_bytes(damaged)
            try:
                arrays = dropout_sweep.read_data_file()
            except SystemExit:
                continue
            assert all(map(np.array_equal, arrays, ARRAYS.values()))  # a byte that says nothing


def test_other_types_shapes_and_places_that_work(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    labels = {"y_train": Y[:, None].astype(">i2"), "y_test": Y[:6, None]}
    rows = X.reshape(20, 20)
    images = {"x_train": rows.astype(np.int64), "x_test": np.asfortranarray(rows[:6])}
    np.savez(tmp_path / "tiny.npz", **ARRAYS | labels | images)
    constants = {"DATA_FILE": "~/tiny.npz", "FIGURES_DIR": "~/figures", "SEEDS": range(2)}
    constants |= {"BATCH_SIZE": 10**9, "LEARNING_RATE": 1.0, "DROPOUT_RATES": (0, 0.5), "EPOCHS": 1}
    load(tmp_path, **constants).main()
    assert len(contents(tmp_path)) == 8


def test_the_script_says_so_and_loses_nothing(digits, tmp_path):
    processes = {}
    for number, (sentence, constants) in enumerate(SENTENCES.items()):
        folder = tmp_path / str(number)
        (folder / "figures").mkdir(parents=True)
        for name in ("a file", "figures/network_dropout_digits_history.csv"):
            (folder / name).write_text("kept")
        processes[sentence] = folder, start(folder, **{"DATA_FILE": digits} | constants)
    for sentence, (folder, process) in processes.items():
        output, errors = process.communicate()
        assert (process.returncode, output, len(errors.splitlines())) == (1, "", 1)
        assert errors.startswith(sentence)
        assert list(contents(folder).values()) == [b"kept"]
        assert (folder / "a file").read_text() == "kept"


TABLE = '    "batch": keras.layers.BatchNormalization,\n'
LATE = TABLE, TABLE + '    "late": lambda: keras.layers.GroupNormalization(groups=3),\n'
STRANGE = 'a,"b"$^\n数'
FACTORY = TABLE, TABLE + f"    {STRANGE!r}: lambda: keras.layers.GroupNormalization(groups=4),\n"
SMALL = {"DROPOUT_RATES": [0.0, 0.5], "EPOCHS": 1}


def test_a_second_normalization_that_cannot_be_built_ends_the_run_before_the_first_is_trained(
    digits, tmp_path
):
    constants = SMALL | {"DATA_FILE": digits, "NORMALIZATIONS": [None, "late"]}
    status, output, errors = run(tmp_path, LATE, **constants)
    assert status == 1 and "groups" in errors and "epoch" not in output
    assert contents(tmp_path) == {}


def test_a_normalization_of_any_name_and_making(digits, tmp_path):
    constants = SMALL | {"DATA_FILE": digits, "NORMALIZATIONS": [STRANGE, None]}
    module = load(tmp_path, FACTORY, **constants, FIGURES_DIR=str(tmp_path / "figures"))
    module.main()
    text = contents(tmp_path)["network_dropout_digits_final.csv"].decode()
    names = [row["normalization"] for row in csv.DictReader(io.StringIO(text))]
    assert names == [STRANGE] * 2 + ["none"] * 2


def test_a_terminal_that_cannot_show_a_character_loses_nothing(digits, tmp_path):
    folder = tmp_path / "数据"
    folder.mkdir()
    shutil.copy(digits, folder / "数据.npz")
    constants = SMALL | {"DATA_FILE": str(folder / "数据.npz"), "SEEDS": [0, 1, 2]}
    status, _, errors = run(tmp_path, env={"PYTHONIOENCODING": "ascii"}, **constants)
    assert status == 0 and len(contents(tmp_path)) == 8
    assert "Error" not in errors  # fonts may lack a glyph, and warn


@pytest.mark.skipif(sys.platform != "linux", reason="other systems take any character")
def test_a_file_system_that_cannot_take_a_character_is_met_at_the_start(digits, tmp_path):
    env = {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    status, output, errors = run(tmp_path, env=env, DATA_FILE=digits, FIGURES_DIR="图")
    assert (status, "epoch" in output, len(errors.splitlines())) == (1, False, 1)
    assert errors.startswith("FIGURES_DIR is ")
