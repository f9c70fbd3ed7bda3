"""Runs that are killed and continued, started twice, or short of room on the disk."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import contents, run, start

import dropout_sweep

RECORDS, HISTORY = ".network_dropout_digits.npz", "network_dropout_digits_history.csv"


@pytest.fixture(scope="module")
def constants(digits) -> dict:
    small = {"DROPOUT_RATES": [0.0, 0.6], "HIDDEN_UNITS": 8, "EPOCHS": 2, "SEEDS": [0, 1, 2]}
    return {"DATA_FILE": digits, "NORMALIZATIONS": ["batch"], **small}


@pytest.fixture(scope="module")
def whole(constants, tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("whole")
    assert run(folder, **constants)[0] == 0
    return contents(folder)


def kill_after(process, rows: int) -> None:
    """Kills a run as soon as it has printed so many rows of its tables."""
    for line in process.stdout:
        rows -= line.startswith("    ")
        if rows == 0:
            break
    process.kill()
    process.communicate()


# There are two epochs in each of three sweeps: in the middle of a sweep, or close to its record.
@pytest.mark.parametrize("rows", [3, 6])
def test_killed_after_any_row_and_continued(rows, constants, whole, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / HISTORY).write_text("of an earlier run")
    process = start(tmp_path, **constants)
    kill_after(process, rows)
    before = contents(tmp_path)
    assert before[HISTORY] == b"of an earlier run" and RECORDS in before
    status, output, errors = run(tmp_path, **constants)
    assert (status, errors) == (0, "") and "seed 0" not in output
    after = contents(tmp_path)  # the kill may leave a part behind, under another name
    assert {name: after[name] for name in whole} == whole and RECORDS not in after


def test_the_record_of_another_run_is_left_alone(tmp_path, capsys):
    path = tmp_path / RECORDS
    np.savez(path, digest="of another run", history=1, final=1)
    before = path.read_bytes()
    assert np.isnan(dropout_sweep.read_records(path, "digest")[0]["val_loss"]).all()
    assert "had other constants, data or code" in capsys.readouterr().out
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\3\4 cut off"])
def test_a_damaged_record_does_not_block_the_start(content, tmp_path, capsys):
    path = tmp_path / RECORDS
    path.write_bytes(content)
    history, final = dropout_sweep.read_records(path, "digest")
    assert np.isnan(history["val_loss"]).all() and np.isnan(final["val_loss"]).all()
    assert capsys.readouterr().out.startswith("Starts afresh: the interrupted run left a damaged")


def test_the_digest_covers_all_that_numbers_depend_on(tmp_path, monkeypatch):
    arrays = [np.zeros([2, 3], np.uint8), np.zeros(2, np.int64)]
    script = tmp_path / "script.py"
    script.write_bytes(b"a")
    monkeypatch.setattr(dropout_sweep, "__file__", str(script))

    def digest() -> str:
        return dropout_sweep.digest_run(arrays)

    digests = [digest()]
    assert digest() == digests[0]
    script.write_bytes(b"b")
    digests.append(digest())
    arrays[1][1] = 1
    digests.append(digest())
    arrays[0] = arrays[0].reshape(3, 2)
    digests.append(digest())
    monkeypatch.setattr(dropout_sweep, "SEEDS", [1])
    digests.append(digest())
    for module in (keras, np, tf):
        monkeypatch.setattr(module, "__version__", "0")
        digests.append(digest())
    assert len(set(digests)) == 8


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
