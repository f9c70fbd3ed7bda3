"""The whole script: what it prints, draws and writes, and how it goes on after it was stopped."""

import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from conftest import FIGURES, OUTPUTS, SCRIPT, SECONDS, contents, edit, read_run

import dropout_sweep as d


def test_files_and_tables_agree(runs):
    folder, process = runs["whole"]
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    files = contents(folder)
    assert sorted(files) == [f"network_dropout_digits_{name}" for name in OUTPUTS]
    assert all(f"Wrote figures/{name}\n" in output for name in files)
    assert output.count("Total params") == 2
    keys = [f"{name},{seed}" for name in ("layer", "none") for seed in (0, 5, 6)]
    keys = [f"{key},{rate}" for key in keys for rate in (0.0, 0.8)]
    head, *rows = files["network_dropout_digits_final.csv"].decode().splitlines()
    assert head == ",".join(["normalization,seed,dropout_rate", *d.FINAL_NAMES])
    assert [row.rsplit(",", 4)[0] for row in rows] == keys
    head, *rows = files["network_dropout_digits_history.csv"].decode().splitlines()
    assert head == ",".join(["normalization,seed,dropout_rate,epoch", *d.HISTORY.names])
    assert [row.rsplit(",", 4)[0] for row in rows] == [f"{key},{n}" for key in keys for n in (1, 2)]
    _, history, final = read_run(folder / "figures", "digits")
    for name in ("accuracy", "val_accuracy", "val_loss"):
        np.testing.assert_array_equal(final[name], history[name][..., -1])
    lines = [line.split() for line in output.splitlines() if line.startswith("    ")]
    progress = np.float64([line[1:3] for line in lines if line[0] in ("1", "2")])
    expected = 100 * np.moveaxis(history["val_accuracy"], 2, 3).reshape(-1, 2)
    np.testing.assert_allclose(progress, expected, 0, 0.0051)
    table = [line for line in lines if line[0] in ("0.0", "0.8")]
    for column, name in zip((1, 2, 3), d.FINAL_NAMES):
        means = 100 * final[name].mean(axis=1).reshape(-1)
        np.testing.assert_allclose([float(line[column]) for line in table], means, 0, 0.0051)
    assert ["±" in line for line in table] == [False, True] * 2


def test_killed_and_continued_by_two_at_once_to_the_same_bytes(runs):
    folder, process = runs["killed"]
    process.communicate(timeout=SECONDS)
    left = (folder / "left").read_text().split()
    assert len(left) == 2 and all(name.endswith(".npz") for name in left)  # the records
    for name in ("one", "two"):
        output = (folder / name).read_text()
        assert "the run continues" in output and "Error" not in output
    assert contents(folder) == contents(runs["whole"][0])


def test_a_record_counts_for_one_script_version_and_data_alone(monkeypatch):
    data, other = [d.tf.zeros([2])], [d.tf.ones([2])]
    digests = [d.digest_run(b"one", data), d.digest_run(b"two", data), d.digest_run(b"one", other)]
    monkeypatch.setattr(d.keras, "__version__", "0")
    digests.append(d.digest_run(b"one", data))
    assert len(set(digests)) == 4


NOTEBOOK = """
import linecache, sys
import dropout_sweep as d
print("quiet so far, on", d.keras.backend.backend())
d.np.savez = None  # no records
text = open(sys.argv[1]).read()
linecache.cache["<cell>"] = len(text), None, text.splitlines(True), "<cell>"  # as IPython does
exec(compile(text, "<cell>", "exec"), {"__name__": "__main__"})
"""


def test_imported_quietly_and_pasted_into_a_notebook(digits, tmp_path):
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    pasted = edit(tmp_path / "pasted", EPOCHS=1, DROPOUT_RATES=[0.5], DATA_FILE=digits)
    command = [sys.executable, "notebook.py", str(pasted)]
    env = os.environ | {"PYTHONPATH": str(SCRIPT.parent), "KERAS_BACKEND": "jax"}
    options = {"cwd": tmp_path, "env": env, "capture_output": True, "encoding": "utf-8"}
    process = subprocess.run(command, check=False, timeout=SECONDS, **options)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("quiet so far, on tensorflow\ndigits: 300 training images")
    assert len(contents(tmp_path)) == len(OUTPUTS)


def made_up(seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns results of three rates and epochs, each column of its own."""
    history = np.zeros([2, seeds, 3, 3], d.HISTORY)
    noise = np.random.default_rng(seeds).normal(scale=0.0005, size=history.shape)
    steps = np.array([[0, 0, 0], [-0.02, 0, 0.02], [-0.3, -0.3, -0.3]])
    for column, level in zip(d.HISTORY.names, (0.9, 0.8, 0.5, 0.4)):
        history[column] = level + level * (steps + noise)
    final = np.zeros(history.shape[:-1], d.FINAL)
    final["val_accuracy"] = history["val_accuracy"][..., -1]
    return history, final


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.setattr(d, "NORMALIZATIONS", ["layer", None])
    return lambda seeds: d.plot_results("a$b$c", [0.0, 0.2, 0.9], *made_up(seeds))


def test_lines_are_means_in_bands_of_a_standard_deviation(figures):
    history, _ = made_up(9)
    columns = {"accuracy": "training", "val_accuracy": "validation", "val_loss": "validation"}
    for column, word in columns.items():
        figure = figures(9)[column]
        values = history[column] * (1 if column == "val_loss" else 100)
        assert word in figure.axes[0].get_ylabel() and "seeds: 9" in figure.get_suptitle()
        assert [line.get_label() for line in figure.axes[1].lines] == [
            "rate 0.0",
            "rate 0.2",
            "rate 0.9",
        ]
        for axes, panel, name in zip(figure.axes, values, ("layer", "None"), strict=True):
            assert axes.get_title() == f"normalization: {name}"
            means, spreads = panel.mean(axis=0), panel.std(axis=0, ddof=1)
            lines = zip(axes.lines, axes.collections, means, spreads, strict=True)
            for line, band, mean, spread in lines:
                np.testing.assert_allclose(line.get_data(), [[1, 2, 3], mean])
                heights = set(band.get_paths()[0].vertices[:, 1].round(9))
                assert heights >= {*(mean - spread).round(9), *(mean + spread).round(9)}


@pytest.mark.parametrize("seeds", [1, 2, 9])
def test_the_difference_figures_show_what_is_sure(figures, seeds):
    history, final = made_up(seeds)
    at_the_end, by_epoch = figures(seeds)["difference"], figures(seeds)["difference_by_epoch"]
    for figure in (at_the_end, by_epoch):
        figure.draw_without_rendering()
        assert ("95 % interval" if seeds == 9 else "(not tested)") in figure.get_suptitle()
    for axes, values in zip(at_the_end.axes, 100 * final["val_accuracy"], strict=True):
        mean, half_width = d.compare_with_first(values)
        (line, _, (bars,)) = axes.containers[0]
        np.testing.assert_allclose(np.float64(line.get_data()), [[0, 0.2, 0.9], mean])
        lengths = [np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments() if len(bar)]
        np.testing.assert_allclose(lengths, half_width if seeds == 9 else [0], atol=1e-9)
        assert axes.get_title().endswith(f"rate 0.0: {values[:, 0].mean():.2f} %")
    for axes, values in zip(by_epoch.axes, 100 * history["val_accuracy"], strict=True):
        mean = (values - values[:, :1]).mean(axis=0)
        np.testing.assert_allclose([line.get_ydata() for line in axes.lines], mean)
        marked = [[False] * 3, [True, False, True], [True] * 3] if seeds == 9 else [[False] * 3] * 3
        assert [list(line.get_markevery()) for line in axes.lines] == marked


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("failure", [Exception("no network"), OSError(), ValueError(), TypeError()])
def test_drawn_digits_stand_in_for_mnist_that_cannot_be_had(name, failure, monkeypatch):
    def load_data():
        assert d.socket.getdefaulttimeout() == 30
        raise failure

    monkeypatch.setattr(d, "DATASET", name)
    monkeypatch.setattr(d, "draw_digits", lambda: "digits")
    monkeypatch.setattr(getattr(d.keras.datasets, name), "load_data", load_data)
    if name == "mnist" and not isinstance(failure, TypeError):
        assert d.load_dataset() == ("drawn_digits", "digits")
    else:
        with pytest.raises(type(failure)):
            d.load_dataset()
    assert d.socket.getdefaulttimeout() is None


def test_drawn_digits_are_the_same_under_every_setting_and_can_be_learned(digits):
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 37, "font.weight": "bold"}):
        arrays = d.draw_digits(300, 100)
    for name, array in zip(d.ARRAY_NAMES, arrays):
        np.testing.assert_array_equal(array, np.load(digits)[name])
    network = d.build_network("batch", 0.0, (28, 28), 10)
    network.fit(*arrays[:2], epochs=20, verbose=0)
    assert 0.4 < network.evaluate(*arrays[2:], verbose=0)[1] < 0.999


@pytest.mark.skipif("MNIST_NPZ" not in os.environ, reason="MNIST_NPZ names no file")
def test_mnist_gives_the_committed_numbers(monkeypatch):
    monkeypatch.setattr(d, "DATA_FILE", os.environ["MNIST_NPZ"])
    monkeypatch.setattr(d, "EPOCHS", 1)
    history, _ = d.run_sweeps(None, [0.0, 0.3, 0.9], d.load_data()[1])
    _, committed, _ = read_run(FIGURES / "thirty_epochs")
    for name in d.HISTORY.names:
        expected = committed[name][0, 0, [0, 3, 9], 0]
        np.testing.assert_allclose(history[name][0, 0, :, 0], expected, atol=0.004)
