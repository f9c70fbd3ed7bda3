"""Runs that are interrupted, continued, started twice, or short of room on the disk."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from conftest import contents, run, start

NAME = "figures/network_dropout_digits_history.csv"
SAVES = "figures/.network_dropout_digits"


@pytest.fixture(scope="module")
def constants(digits) -> dict:
    return {
        "DATA_FILE": str(digits),
        "DROPOUT_RATES": [0.2, 0.6],
        "NORMALIZATIONS": ["batch"],  # it has the most to save: moving means, too
        "SEEDS": [0, 1],
        "EPOCHS": 5,
    }


@pytest.fixture(scope="module")
def whole(constants, tmp_path_factory) -> tuple[dict[str, bytes], float]:
    """What a run that nothing interrupts writes, and how long it takes."""
    folder = tmp_path_factory.mktemp("whole")
    started = time.monotonic()
    assert run(folder, **constants)[0] == 0
    return contents(folder), time.monotonic() - started


def wait_for(process: subprocess.Popen, beginning: str) -> list[str]:
    """Reads the output up to the first line that begins so, and returns it."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.strip().startswith(beginning):
            return lines
    pytest.fail(f"no line begins with {beginning!r}: {lines} {process.stderr.read()}")


# Seconds after a line of output, or (as part of a whole run's time) after the start.
MOMENTS = [(None, 0.05 + 0.9 * i / 13) for i in range(14)]  # start-up, epochs and saves
MOMENTS += [("epoch", 0.4), ("1 ", 0.0), ("3 ", 0.01)]  # in the first epoch, at saves
MOMENTS += [("After", 0.0), ("After", 0.15), ("After", 0.3)]  # while drawing and writing


def test_killed_at_any_moment_and_continued(constants, whole, tmp_path):
    expected, duration = whole

    def kill_and_continue(number: int) -> None:
        line, delay = MOMENTS[number]
        folder = tmp_path / str(number)
        (folder / "figures").mkdir(parents=True)
        (folder / NAME).write_text("of an earlier run")
        process = start(folder, **constants)
        if line:
            wait_for(process, line)
        time.sleep(delay if line else delay * duration)
        process.kill()
        process.communicate()
        assert (folder / NAME).read_bytes() in (b"of an earlier run", expected[NAME])
        status, _, errors = run(folder, **constants)
        assert (status, errors) == (0, "")
        assert contents(folder) == expected

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(kill_and_continue, range(len(MOMENTS))))


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal_and_continued(number, code, constants, whole, tmp_path):
    process = start(tmp_path, **constants)
    wait_for(process, "2 ")
    process.send_signal(number)
    sent = time.monotonic()
    _, errors = process.communicate()
    assert time.monotonic() - sent < 2
    assert process.returncode == code
    (line,) = errors.strip().splitlines()
    assert "epochs 1 to" in line and "of 10 are kept" in line and "again" in line
    status, output, _ = run(tmp_path, **constants)
    assert status == 0 and output.startswith("Continues")
    assert "\n    1 " not in output.split("seed 1")[0]  # seed 0's first epoch is not run again
    assert contents(tmp_path) == whole[0]


def test_stopped_by_a_signal_at_the_start(constants, tmp_path):
    process = start(tmp_path, **constants)
    time.sleep(0.7)  # while TensorFlow is imported
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130
    assert "Stopped" in errors and "Traceback" not in errors


@pytest.fixture
def stopped(constants, tmp_path) -> Path:
    """The folder of a run that was killed after its third epoch."""
    process = start(tmp_path, **constants)
    wait_for(process, "3 ")
    process.kill()
    process.communicate()
    return tmp_path


@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_save_is_not_trusted(damage, stopped, constants, whole):
    saves = sorted((stopped / SAVES).glob("*.data-*"), key=lambda path: path.stat().st_mtime)
    newest = max(saves[-2:], key=lambda path: path.stat().st_size)
    content = newest.read_bytes()
    middle = len(content) // 2
    if damage == "cut":
        newest.write_bytes(content[:middle])
    elif damage == "changed":
        newest.write_bytes(content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :])
    else:
        newest.unlink()
    status, output, _ = run(stopped, **constants)
    assert status == 0 and "the newest save is damaged" in output.splitlines()[0]
    assert contents(stopped) == whole[0]


def test_where_every_save_is_damaged_the_run_starts_afresh(stopped, constants, whole):
    for path in (stopped / SAVES).glob("save-*"):
        path.write_bytes(path.read_bytes()[:-9])
    status, output, _ = run(stopped, **constants)
    assert status == 0
    assert output.startswith("Starts afresh: the interrupted run's saves are damaged.")
    assert contents(stopped) == whole[0]


def test_another_experiment_starts_afresh_and_names_what_differs(stopped, constants):
    status, output, _ = run(stopped, **constants | {"EPOCHS": 1, "BATCH_SIZE": 200})
    assert status == 0
    assert (
        output.splitlines()[0]
        == "Starts afresh: unlike in the interrupted run, EPOCHS, BATCH_SIZE."
    )
    assert len((stopped / NAME).read_text().splitlines()) == 1 + 2 * 2


def test_of_two_runs_at_once_the_second_stops(constants, whole, tmp_path):
    first = start(tmp_path, **constants | {"EPOCHS": 60})
    wait_for(first, "2 ")
    status, output, errors = run(tmp_path, **constants | {"EPOCHS": 60})
    assert (status, output) == (2, "")
    assert "another run is at work" in errors and len(errors.splitlines()) == 1
    _, errors = first.communicate()
    assert (first.returncode, errors) == (0, "")
    rows = (tmp_path / NAME).read_bytes().splitlines()[1:]
    assert rows[:10] == whole[0][NAME].splitlines()[1:11]


@pytest.mark.parametrize("room, moment", [(1_000, "at the start"), (36_000, "while drawing")])
@pytest.mark.skipif(sys.platform != "linux", reason="limits another process only on Linux")
def test_a_full_disk(room, moment, constants, tmp_path):
    # A limit on the size of a file stands in for the disk: small saves fit, pictures do not.
    small = constants | {"NORMALIZATIONS": ["layer"], "DROPOUT_RATES": [0.5]}
    small |= {"HIDDEN_UNITS": 1, "SEEDS": [0]}
    assert run(tmp_path, **small)[0] == 0
    before = contents(tmp_path)
    import resource

    process = start(tmp_path, **small)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (room, room))
    output, errors = process.communicate()
    assert process.returncode == 2
    assert errors.startswith("dropout_sweep.py: FIGURES_DIR is 'figures'")
    assert len(errors.splitlines()) == 1
    assert ("seconds" in output) == (moment == "while drawing")
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
