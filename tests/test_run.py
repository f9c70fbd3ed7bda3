"""The whole script, run as a user runs it: a process in an empty folder."""

import csv
import io
import os
import re
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from benchmark import SCRIPT, sweep_script
from conftest import contents, run

import dropout_sweep

ROOT = SCRIPT.parent
RATES = [0.0, 0.4, 0.8]
OUTPUTS = ["accuracy.png", "final.csv", "history.csv", "rates.png", "val_accuracy.png"]


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text(encoding="ascii"))))


def size(path: Path) -> tuple[int, int]:
    """Returns width and height of a PNG in pixels."""
    head = path.read_bytes()[:24]
    assert head[:8] == b"\x89PNG\r\n\x1a\n"
    return struct.unpack(">II", head[16:])


@pytest.fixture(scope="module")
def several(digits, tmp_path_factory) -> tuple[Path, str]:
    """A run with two normalizations and two seeds; returns its folder and output."""
    folder = tmp_path_factory.mktemp("several")
    status, output, errors = run(
        folder,
        DATA_FILE=str(digits),
        DROPOUT_RATES=RATES,
        NORMALIZATIONS=["layer", None],
        SEEDS=[0, 5],
        EPOCHS=2,
    )
    assert (status, errors) == (0, "")
    return folder, output


def test_outputs_of_several_normalizations_and_seeds(several):
    folder, _ = several
    figures = folder / "figures"
    assert sorted(contents(folder)) == [f"figures/network_dropout_digits_{o}" for o in OUTPUTS]
    history = read(figures / "network_dropout_digits_history.csv")
    expected = [
        (normalization, str(seed), str(rate), str(epoch))
        for normalization in ("layer", "none")
        for seed in (0, 5)
        for epoch in (1, 2)
        for rate in RATES
    ]
    keys = ["normalization", "seed", "dropout_rate", "epoch"]
    assert [tuple(row[key] for key in keys) for row in history] == expected
    assert list(history[0]) == [*keys, "accuracy", "val_accuracy"]
    assert all(0 < float(row[key]) < 1 for row in history for key in ("accuracy", "val_accuracy"))
    final = read(figures / "network_dropout_digits_final.csv")
    last = [row for row in history if row["epoch"] == "2"]
    for row, end in zip(last, final, strict=True):
        assert all(row[key] == end[key] for key in keys[:3] + ["accuracy", "val_accuracy"])
        assert float(end["accuracy_dropout_off"]) > float(end["val_accuracy"])
    for name in ("accuracy.png", "val_accuracy.png", "rates.png"):
        assert size(figures / f"network_dropout_digits_{name}") == (12 * 150, 5 * 150)


def test_what_is_shown(several):
    _, output = several
    first = output.splitlines()[0]
    assert all(word in first for word in ("digits", "12 networks", "2 epochs", "1000", "300"))
    assert max(map(len, output.splitlines())) <= 100
    assert "\r" not in output and "\x1b" not in output
    assert output.count("best") == 2 * 2  # in the table and in the sentence, twice
    assert all(f"network_dropout_digits_{name}" in output for name in OUTPUTS)


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(several, digits, tmp_path):
    constants = {"DATA_FILE": str(digits), "DROPOUT_RATES": RATES, "EPOCHS": 2}
    first = (several[0] / "figures/network_dropout_digits_history.csv").read_text().splitlines()
    for seed in (0, 5):
        assert run(tmp_path, SEEDS=[seed], **constants)[0] == 0
        again = (tmp_path / "figures/network_dropout_digits_history.csv").read_text()
        key = f"layer,{seed},"
        assert again.splitlines()[1:] == [row for row in first if row.startswith(key)]
        assert size(tmp_path / "figures/network_dropout_digits_accuracy.png") == (8 * 150, 5 * 150)
    assert [row.split(",")[4:] for row in first if "layer,0," in row] != [
        row.split(",")[4:] for row in first if "layer,5," in row
    ]


@pytest.mark.parametrize("seeds", [1, 3])
def test_figures_show_the_numbers(seeds):
    rng = np.random.default_rng(0)
    rates = [round(0.1 * i, 1) for i in range(10)]
    accuracies = rng.uniform(0.8, 0.99, [2, seeds, 4, 10])
    figure = dropout_sweep.draw_epochs("some data", ["layer", None], rates, accuracies, "accuracy")
    assert "some data" in figure.get_suptitle()
    assert [axes.get_title() for axes in figure.axes] == [
        "layer normalization",
        "no normalization",
    ]
    for axes, values in zip(figure.axes, accuracies):
        assert (axes.get_xlabel(), len(axes.lines)) == ("epoch", 10)
        for line, expected in zip(axes.lines, values.mean(axis=0).T):
            np.testing.assert_array_equal(line.get_xdata(), [1, 2, 3, 4])
            np.testing.assert_array_equal(line.get_ydata(), expected)
        assert len(axes.collections) == (10 if seeds > 1 else 0)
        assert all(tick == int(tick) for tick in axes.get_xticks())
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [str(rate) for rate in rates]
    colours = np.array([line.get_color()[:3] for line in figure.axes[0].lines])
    grey = colours @ [0.299, 0.587, 0.114]
    assert np.all(np.diff(grey) > 0.03)  # in a grey printout too, the next rate is lighter
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)

    final = rng.uniform(0.8, 0.99, [2, seeds, 10, 3])
    figure = dropout_sweep.draw_rates("some data", ["layer", None], rates, final)
    for axes, values in zip(figure.axes, final):
        for column, line in enumerate(axes.lines):
            np.testing.assert_array_equal(line.get_xdata(), rates)
            np.testing.assert_array_equal(line.get_ydata(), values[..., column].mean(axis=0))


def test_an_accuracy_of_one_can_be_drawn(tmp_path):
    figure = dropout_sweep.draw_epochs("x$y", ["layer"], [0.0], np.ones([1, 1, 1, 1]), "accuracy")
    figure.savefig(tmp_path / "one.png")
    assert size(tmp_path / "one.png") == (8 * 150, 5 * 150)


def test_verdict_pairs_the_seeds():
    noise = np.array([[0.00], [0.05], [-0.04], [0.02], [-0.01]])  # larger than the differences
    steady = noise + [0.90, 0.91, 0.91] + np.array([[0, 0, 1], [0, 0, -1]] * 2 + [[0, 0, 0]]) / 1e3
    sentence = dropout_sweep.verdict([0.0, 0.1, 0.2], steady)
    assert sentence.startswith("Rate 0.1 came out best over 5 seeds")
    assert "difference): 0.2." in sentence
    error = np.array([-1, -0.5, 0, 0.5, 1])[:, None] / 1e3  # standard error: 0.000354
    sentence = dropout_sweep.verdict(
        [0.0, 0.1, 0.2],
        0.98 - np.hstack([0 * error, error, error]) - [0, 2 * 0.000354, 4 * 0.000354],
    )
    assert "difference): 0.1. Every other rate is worse" in sentence
    assert "one seed cannot tell" in dropout_sweep.verdict([0.0, 0.1], steady[:1, :2])


def test_forty_rates_still_read():
    row = dropout_sweep.table_row("10", ["0.9741"] * 40, "    1.5  2 s")
    assert row.count("0.9741") == 40 and len(row.splitlines()) == 4
    assert max(map(len, row.splitlines())) <= 100
    assert {line.index("0.9741") for line in row.splitlines()} == {7}


def test_without_network_and_cache_digits_are_drawn(offline, tmp_path):
    mnist = tmp_path / "figures" / "network_dropout_mnist_history.csv"
    mnist.parent.mkdir()
    mnist.write_text("MNIST's")
    status, output, errors = run(tmp_path, offline, DROPOUT_RATES=[0.2, 0.9])
    assert status == 0 and "Traceback" not in errors
    assert output.startswith("This is not MNIST") and "DATA_FILE" in output
    assert "drawn_digits: 2 networks" in output
    names = sorted(f"figures/network_dropout_drawn_digits_{name}" for name in OUTPUTS)
    assert sorted(contents(tmp_path)) == [*names, str(mnist.relative_to(tmp_path))]
    assert mnist.read_text() == "MNIST's"
    rows = read(tmp_path / "figures" / "network_dropout_drawn_digits_final.csv")
    low, high = (float(row["val_accuracy"]) for row in rows)
    assert 0.90 < low < 0.99 and high < low - 0.05


def test_drawn_digits():
    first, again = dropout_sweep.draw_digits(900, 100), dropout_sweep.draw_digits(900, 100)
    for key, array in first.items():
        np.testing.assert_array_equal(array, again[key])
    assert (first["x_train"].shape, first["x_train"].dtype) == ((900, 28, 28), np.uint8)
    assert first["x_train"].max(axis=(1, 2)).min() > 100
    assert set(first["y_train"]) == set(range(10))


def test_importing_starts_nothing(tmp_path):
    code = (
        "import os, gc, signal, socket, logging; before = dict(os.environ), gc.isenabled(), "
        "signal.getsignal(signal.SIGINT), socket.getdefaulttimeout(); import dropout_sweep; "
        "assert before == (dict(os.environ), gc.isenabled(), signal.getsignal(signal.SIGINT), "
        "socket.getdefaulttimeout()); assert dropout_sweep.keras.backend.backend() == 'tensorflow'"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "KERAS_BACKEND": "jax"},
        capture_output=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name, environment",
    [
        (
            "Übung 1",
            {"KERAS_BACKEND": "jax", "TF_USE_LEGACY_KERAS": "1", "MPLBACKEND": "TkAgg"},
        ),
        ("exercise 1", {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}),
    ],
    ids=["other back ends", "not UTF-8"],
)
def test_any_environment(name, environment, several, digits, tmp_path):
    home = tmp_path / "home"
    (home / ".keras").mkdir(parents=True)
    (home / ".keras" / "keras.json").write_text('{"backend": "torch", "floatx": "float32"}')
    folder = tmp_path / name
    constants = {"DATA_FILE": str(digits), "DROPOUT_RATES": RATES, "SEEDS": [0, 5], "EPOCHS": 2}
    status, _, errors = run(
        folder, {"HOME": str(home), "KERAS_HOME": str(home / ".keras"), **environment}, **constants
    )
    assert (status, errors) == (0, "")
    name = "network_dropout_digits_history.csv"
    rows = (several[0] / "figures" / name).read_text().splitlines()
    assert (folder / "figures" / name).read_text().splitlines() == [
        row for row in rows if not row.startswith("none")
    ]


def test_from_another_folder_into_a_pipe_that_closes_early(digits, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    script = sweep_script(tmp_path, DATA_FILE=str(digits), DROPOUT_RATES=RATES, EPOCHS=2)
    process = subprocess.Popen(
        [sys.executable, script], cwd=elsewhere, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.readline()
    process.stdout.close()
    assert (process.stderr.read(), process.wait()) == (b"", 0)
    assert len(contents(elsewhere)) == len(OUTPUTS)


def test_the_packages_stand_twice_and_agree():
    metadata = re.search(r"(?m)^# dependencies = \[(.*)\]$", SCRIPT.read_text(encoding="utf-8"))[1]
    packages = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert re.findall(r'"([^"]+)"', metadata) == packages


@pytest.mark.skipif("MNIST_NPZ" not in os.environ, reason="MNIST_NPZ names no file")
def test_default_sweep_on_mnist(tmp_path):
    status, _, errors = run(tmp_path, DATA_FILE=os.environ["MNIST_NPZ"])
    assert (status, errors) == (0, "")
    name = Path(os.environ["MNIST_NPZ"]).stem
    rows = read(tmp_path / "figures" / f"network_dropout_{name}_history.csv")
    last = {float(row["dropout_rate"]): row for row in rows if row["epoch"] == "10"}
    training = [float(last[rate]["accuracy"]) for rate in sorted(last)]
    assert len(last) == 10 and np.all(np.diff(training) < 0)
    for rate, row in last.items():
        low, high = (0.90, 0.94) if rate == 0.9 else (0.965, 0.980) if rate <= 0.5 else (0.9, 0.98)
        assert low <= float(row["val_accuracy"]) <= high
