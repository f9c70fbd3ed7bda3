"""Runs that are killed and continued, started twice, or short of room on the disk."""

import io
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import contents, edit, load, run, start

HISTORY = "network_dropout_digits_history.csv"


@pytest.fixture(scope="module")
def constants(digits) -> dict:
    small = {"DROPOUT_RATES": [0.0, 0.6], "HIDDEN_UNITS": 8, "EPOCHS": 2, "SEEDS": [0, 1, 2]}
    return {"DATA_FILE": digits, "NORMALIZATIONS": ["batch"], **small}


@pytest.fixture(scope="module")
def whole(constants, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder, **constants)[0] == 0
    return contents(folder)


def records(folder) -> list:
    return sorted((folder / "figures").glob(".network_dropout_*.npz"))


def kill_after(process, rows: int) -> None:
    """Kills a run as soon as it has printed so many rows of its tables."""
    for line in process.stdout:
        rows -= line.startswith("    ")
        if rows == 0:
            break
    process.kill()
    process.communicate()


# There are two epochs in each of three sweeps: in the middle of a sweep, or close to its record.
def test_killed_after_any_row_and_continued(constants, whole, tmp_path):
    folders = {rows: tmp_path / str(rows) for rows in (3, 6)}
    for folder in folders.values():
        (folder / "figures").mkdir(parents=True)
        (folder / "figures" / HISTORY).write_text("of an earlier run")
    processes = {rows: start(folder, **constants) for rows, folder in folders.items()}
    for rows, folder in folders.items():
        kill_after(processes[rows], rows)
        before = contents(folder)
        assert before[HISTORY] == b"of an earlier run" and records(folder)
    processes = {rows: start(folder, **constants) for rows, folder in folders.items()}
    for rows, folder in folders.items():
        output, errors = processes[rows].communicate()
        assert (processes[rows].returncode, errors) == (0, "") and "seed 0" not in output
        assert "Continues the interrupted run." in output
        after = contents(folder)  # the kill may leave a part behind, under another name
        assert {name: after[name] for name in whole} == whole and not records(folder)


DAMAGES = {
    "nothing": lambda path: path.write_bytes(b""),
    "no archive": lambda path: path.write_bytes(b"no archive"),
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-30]),
    "an array": lambda path: path.write_bytes(npy()),
    "another archive": lambda path: np.savez(path, a=1),
    "another shape": lambda path: np.savez(path, history=np.zeros(3), final=np.zeros(3)),
}


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def interrupted(constants, folder):
    """Returns the module of a run that was interrupted after the first of its sweeps."""
    module = load(folder, **constants, FIGURES_DIR=str(folder / "figures"))
    default_rng = np.random.default_rng

    def interrupt(numbers):  # of the order of the images, from seed and epoch
        if numbers[0] == constants["SEEDS"][1]:
            raise KeyboardInterrupt
        return default_rng(numbers)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "default_rng", interrupt)
        with pytest.raises(KeyboardInterrupt):
            module.main()
    return module


def test_damaged_records_are_trained_again_to_the_same_bytes(constants, whole, tmp_path, capsys):
    module = interrupted(constants, tmp_path)
    (path,) = records(tmp_path)
    whole_record = path.read_bytes()
    assert module.read_record(path, 2) is not None
    for damage in DAMAGES.values():
        path.write_bytes(whole_record)
        damage(path)
        assert module.read_record(path, 2) is None
        assert "is damaged" in capsys.readouterr().out
    module.main()
    for name, content in whole.items():
        assert contents(tmp_path)[name] == content
    assert not records(tmp_path)
    path.mkdir()
    assert module.read_record(path, 2) is None


def test_a_run_continues_in_a_notebook_unless_something_was_changed(constants, tmp_path, capsys):
    module = interrupted(constants, tmp_path)
    arrays = module.load_data()[1]
    digest = module.digest_run(arrays)
    assert module.digest_run(arrays) == digest
    place = module.record_name(digest, (0, 0))
    assert [path.name for path in records(tmp_path)] == [place]
    changes = [
        ("EPOCHS", 3),
        ("SEEDS", [0, 2, 1]),
        ("LEARNING_RATE", 0.002),
        ("build_network", lambda *arguments: None),
        ("keras", tf),
    ]
    digests = [digest]
    for name, value in changes:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, name, value)
            digests.append(module.digest_run(arrays))
        assert module.digest_run(arrays) == digest
    with pytest.MonkeyPatch.context() as patch:  # as if another file had been loaded
        patch.setattr(module, "SCRIPT", b"another file")
        patch.setitem(module.LOADED, "SCRIPT", module.SCRIPT)
        digests.append(module.digest_run(arrays))
    edit(tmp_path, **constants | {"HIDDEN_UNITS": 9})  # the file is saved, not loaded
    assert module.digest_run(arrays) == digest
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(module.NORMALIZATION_LAYERS, "batch", lambda: None)
        digests.append(module.digest_run(arrays))
    for library in (keras, np, tf):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(library, "__version__", "0")
            digests.append(module.digest_run(arrays))
    arrays[1][1] += 1
    digests.append(module.digest_run(arrays))
    arrays[0] = arrays[0].reshape(-1, 392)
    digests.append(module.digest_run(arrays))
    assert len(set(digests)) == len(digests) == 13


ODD = """NUMBERS = {3, 1, 2}
INITIALIZER = keras.initializers.RandomNormal()
MAKES = lambda: keras.layers.Identity()
NORMALIZATION_LAYERS = {"odd": MAKES, """


def test_a_script_continues_whatever_its_constants_hold_unless_it_is_saved_anew(
    constants, tmp_path
):
    odd = "NORMALIZATION_LAYERS = {", ODD
    more = {"NORMALIZATIONS": ["odd"]}
    process = start(tmp_path, odd, **constants | more)
    kill_after(process, 3)
    one = records(tmp_path)
    assert one
    process = start(tmp_path, odd, **constants | more)
    line = next(line for line in process.stdout if "ontinues" in line or "epoch" in line)
    edit(tmp_path, odd, **constants | more | {"EPOCHS": 3})  # saved while the old one runs
    assert line == "Continues the interrupted run.\n"
    kill_after(process, 3)
    status, output, _ = run(tmp_path, odd, **constants | more | {"EPOCHS": 3})
    assert status == 0 and "Continues" not in output and "seed 0" in output
    rows = contents(tmp_path)[HISTORY].decode().splitlines()
    assert len(rows) == 1 + 3 * 2 * 3


def test_two_runs_in_one_folder_do_no_harm(constants, whole, tmp_path):
    for process in [start(tmp_path, **constants) for _ in range(2)]:
        assert (process.communicate()[1], process.returncode) == ("", 0)
    assert contents(tmp_path) == whole


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process only on Linux")
def test_a_full_disk(constants, whole, tmp_path):
    import resource

    (tmp_path / "figures").mkdir()
    for name, content in whole.items():
        (tmp_path / "figures" / name).write_bytes(content)
    process = start(tmp_path, **constants)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (30_000, 30_000))  # of any file
    output, errors = process.communicate()
    assert (process.returncode, output, len(errors.splitlines())) == (1, "", 1)
    assert errors.startswith("FIGURES_DIR is 'figures', where ") and contents(tmp_path) == whole
