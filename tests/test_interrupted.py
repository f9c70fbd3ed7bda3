"""Runs that are killed and continued, started twice, or short of room on the disk."""

import sys
import time

import pytest
from conftest import contents, run, start

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


# After a sweep, and so many seconds later.
@pytest.mark.parametrize("seconds", [0, 0.9, 1.8])
def test_killed_at_any_moment_and_continued(seconds, constants, whole, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / HISTORY).write_text("of an earlier run")
    process = start(tmp_path, **constants)
    while process.poll() is None and not (tmp_path / "figures" / RECORDS).exists():
        time.sleep(0.01)
    time.sleep(seconds)
    process.kill()
    process.communicate()
    before = contents(tmp_path)
    assert before[HISTORY] in (b"of an earlier run", whole[HISTORY])
    if seconds == 0:
        other = start(tmp_path, **constants | {"LEARNING_RATE": 1})
        assert other.stdout.readline().startswith("Starts afresh: ")
        other.kill()
        other.communicate()
        assert contents(tmp_path) == before
    status, output, errors = run(tmp_path, **constants)
    assert (status, errors) == (0, "") and ("seed 0" in output) == (RECORDS not in before)
    after = contents(tmp_path)  # the kill may leave a part behind, under another name
    assert {name: after[name] for name in whole} == whole and RECORDS not in after


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
