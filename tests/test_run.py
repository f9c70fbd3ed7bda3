"""The whole script, run as a user runs it: what it prints, draws and writes."""

import csv
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import SCRIPT, contents, load, run

import dropout_sweep

RATES, SEEDS, EPOCHS, PANELS = [0.0, 0.4, 0.8], [0, 5, 6], [1, 2], ["layer", "none"]
OUTPUTS = ["accuracy.png", "final.csv", "history.csv", "rates.png", "val_accuracy.png"]
KEYS = ["normalization", "seed", "dropout_rate", "epoch"]
FINAL = ["accuracy", "accuracy_dropout_off", "val_accuracy"]


def read(folder, kind: str, columns: list[str]) -> dict[tuple, np.ndarray]:
    text = (folder / "figures" / f"network_dropout_{kind}.csv").read_text(encoding="ascii")
    header, *rows = csv.reader(text.splitlines())
    keys = len(header) - len(columns)
    assert header == KEYS[:keys] + columns
    return {tuple(row[:keys]): np.array(row[keys:], float) for row in rows}


@pytest.fixture(scope="module")
def several(digits, tmp_path_factory) -> tuple:
    folder = tmp_path_factory.mktemp("several")
    constants = {"DATA_FILE": digits, "DROPOUT_RATES": RATES[::-1], "EPOCHS": 2}
    constants |= {"NORMALIZATIONS": ["layer", None], "SEEDS": SEEDS}
    status, output, errors = run(folder, **constants)
    assert (status, errors) == (0, "")
    history = read(folder, "digits_history", FINAL[::2])
    return folder, output, constants, history, read(folder, "digits_final", FINAL)


def test_files_and_tables_agree(several):
    folder, output, _, history, final = several
    names = [f"network_dropout_digits_{name}" for name in OUTPUTS]
    assert sorted(contents(folder)) == names and all(name in output for name in names)
    assert contents(folder)[names[0]][16:24] == bytes([0, 0, 7, 8, 0, 0, 2, 238])  # 1800 x 750
    sweeps = [(panel, str(seed)) for panel in PANELS for seed in SEEDS]
    assert list(final) == [(*sweep, str(rate)) for sweep in sweeps for rate in RATES]
    assert list(history) == [(*key, str(epoch)) for key in final for epoch in EPOCHS]
    assert all((history[(*key, "2")] == final[key][::2]).all() for key in final)
    assert output.count("Total params") == 2
    rows = re.findall(r"(?m)^ +([12]) ((?: +0\.\d{4}){3}) +[\d.]+ +[\d.]+ min$", output)
    keys = [(sweep, str(epoch)) for sweep in sweeps for epoch in EPOCHS]
    for (epoch, cells), (sweep, expected) in zip(rows, keys, strict=True):
        accuracies = [history[(*sweep, str(rate), epoch)][1] for rate in RATES]
        assert (epoch, cells.split()) == (expected, [f"{value:.4f}" for value in accuracies])
    rows = re.findall(r"(?m)^ +(0\.\d) ((?: +-?0\.\d{4} \(0\.\d{4}\)){4})$", output)
    for (rate, cells), panel in zip(rows, ["layer"] * 3 + ["none"] * 3, strict=True):
        values = np.array([final[panel, str(seed), rate] for seed in SEEDS])
        values = np.column_stack([values, values[:, 1] - values[:, 2]])
        cells = np.array(re.findall(r"-?0\.\d{4}", cells), float).reshape(4, 2)
        wanted = np.column_stack([values.mean(axis=0), values.std(axis=0, ddof=1)])
        np.testing.assert_allclose(cells, wanted, atol=6e-5)


def test_figures_show_what_the_files_hold_at_every_run(several, tmp_path, monkeypatch):
    folder, _, constants, history, final = several
    module, figures = load(tmp_path, **constants, FIGURES_DIR=str(tmp_path / "figures")), []
    draw = module.draw
    monkeypatch.setattr(module, "draw", lambda *args: figures.append(draw(*args)) or figures[-1])
    module.main()
    assert contents(tmp_path) == contents(folder)
    assert history["layer", "5", "0.4", "2"][0] != history["layer", "6", "0.4", "2"][0]
    kinds, names = ["training, dropout on", "validation, dropout off"], [f"rate {r}" for r in RATES]
    for column, (figure, kind) in enumerate(zip(figures, kinds)):
        assert figure.get_suptitle() == f"digits: {kind}"
        assert [text.get_text() for text in figure.legends[0].get_texts()] == names
        for axes, panel in zip(figure.axes, PANELS, strict=True):
            assert axes.get_title() == f"{panel.replace('none', 'no')} normalization"
            for line, rate in zip(axes.lines, RATES, strict=True):
                keys = [[(panel, s, str(rate), e) for e in ("1", "2")] for s in map(str, SEEDS)]
                points = np.mean([[history[key][column] for key in row] for row in keys], axis=0)
                np.testing.assert_allclose(line.get_data(), [EPOCHS, points], atol=1e-6)
    columns = {kinds[0]: 0, "training, dropout off": 1, kinds[1]: 2}
    for axes, panel in zip(figures[2].axes, PANELS, strict=True):
        for line in axes.lines:
            column, keys = columns[line.get_label()], [(panel, str(s)) for s in SEEDS]
            points = [np.mean([final[(*k, str(r))][column] for k in keys]) for r in RATES]
            np.testing.assert_allclose(line.get_data(), [RATES, points], atol=1e-6)


RANGES = [(0.9717, 0.9741), (0.97, 0.97), (0.1, 0.9999), (0.93, 0.979), (0.5, 1), (0, 0.1)]


@pytest.mark.parametrize("low, high", RANGES)
def test_at_least_three_ticks_are_labelled(low, high, tmp_path):
    accuracies, labels = np.linspace(low, high, 20).reshape(1, 1, 10, 2), list("0123456789")
    figure = dropout_sweep.draw("a$b$c", "epoch", [1, 2], labels, accuracies)
    figure.savefig(tmp_path / "figure.png")
    (axes,), (bottom, top) = figure.axes, figure.axes[0].get_ylim()
    ticks = [t for t in axes.yaxis.get_major_ticks() if bottom <= t.get_loc() <= top]
    texts = [tick.label1.get_text().replace("\N{MINUS SIGN}", "-") for tick in ticks]
    assert len(set(texts)) >= 3 and not figure.legends[0].get_window_extent().overlaps(axes.bbox)
    np.testing.assert_allclose(np.array(texts, float), [t.get_loc() for t in ticks], atol=1e-6)


def test_without_network_and_cache_digits_are_drawn(tmp_path):
    home, nobody = str(tmp_path / "home"), "http://127.0.0.1:9"
    offline = {"HOME": home, "KERAS_HOME": home, "https_proxy": nobody, "HTTPS_PROXY": nobody}
    status, output, errors = run(tmp_path, env=offline, DROPOUT_RATES=[0.2, 0.9], EPOCHS=2)
    assert (status, errors) == (0, "") and "This is not MNIST" in output and "DATA_FILE" in output
    low, high = (values[2] for values in read(tmp_path, "drawn_digits_final", FINAL).values())
    assert 0.85 < low < 0.999 and high < low - 0.02


NOTEBOOK = """
import runpy, sys
sys.stdout = type("Console", (), {"write": lambda *_: None, "flush": lambda *_: None})()
import dropout_sweep as d
d.EPOCHS, d.DROPOUT_RATES, d.DATA_FILE = 1, [*d.np.linspace(0, 0.5, 2)], sys.argv[1]
d.main()
d.main()
runpy.run_path(d.__file__)
"""


def test_imported_quietly_then_twice_in_a_notebook_without_error_stream(digits, tmp_path):
    env = os.environ | {"PYTHONPATH": str(SCRIPT.parent), "KERAS_BACKEND": "jax"}
    options = {"cwd": tmp_path, "env": env, "capture_output": True}
    process = subprocess.run([sys.executable, "-c", "import dropout_sweep"], check=True, **options)
    assert (process.stdout, process.stderr, list(tmp_path.iterdir())) == (b"", b"", [])
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    command = f'"{sys.executable}" notebook.py "{digits}" <&- >&- 2>&-'
    subprocess.run(command, shell=True, check=True, **options)
    assert len(contents(tmp_path)) == len(OUTPUTS)


@pytest.mark.skipif("MNIST_NPZ" not in os.environ, reason="MNIST_NPZ names no file")
def test_default_sweep_on_mnist_gives_the_committed_numbers(tmp_path):
    status, _, errors = run(tmp_path, DATA_FILE=os.environ["MNIST_NPZ"])
    new, old = (read(folder, "mnist_final", FINAL) for folder in (tmp_path, SCRIPT.parent))
    assert (status, errors, list(new)) == (0, "", list(old))
    np.testing.assert_allclose(list(new.values()), list(old.values()), atol=0.004)  # any processor
