"""The whole script: what it prints, draws and writes, and how it goes on after it was stopped."""

import csv
import os
import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from conftest import OUTPUTS, RATES, SCRIPT, SECONDS, contents, edit, read_run, records

import dropout_sweep as d

TWO, SEEDS, EPOCHS, PANELS = [0.0, 0.8], [0, 5, 6], [1, 2], ["layer", "none"]


def read(content: bytes, columns: list) -> dict[tuple, list[float]]:
    """Returns the numbers of a CSV by what stands before them."""
    header, *rows = csv.reader(content.decode("ascii").splitlines())
    keys = len(header) - len(columns)
    assert header == ["normalization", "seed", "dropout_rate", "epoch"][:keys] + columns
    return {tuple(row[:keys]): [float(cell) for cell in row[keys:]] for row in rows}


def test_files_and_tables_agree(runs):
    folder, process = runs["whole"]
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    files = contents(folder)
    assert sorted(files) == [f"network_dropout_digits_{name}" for name in OUTPUTS]
    assert all(f"Wrote figures/{name}\n" in output for name in files)
    for name, content in files.items():
        if name.endswith(".png"):
            assert content[16:24] == bytes([0, 0, 7, 8, 0, 0, 2, 238])  # 1800 x 750
    assert not records(folder) and output.count("Total params") == 2
    history = read(files["network_dropout_digits_history.csv"], list(d.HISTORY.names))
    final = read(files["network_dropout_digits_final.csv"], d.FINAL_NAMES)
    sweeps = [(panel, str(seed)) for panel in PANELS for seed in SEEDS]
    assert list(final) == [(*sweep, str(rate)) for sweep in sweeps for rate in TWO]
    assert list(history) == [(*key, str(epoch)) for key in final for epoch in EPOCHS]
    for key, (accuracy, _, val_accuracy, val_loss) in final.items():
        last = history[(*key, "2")]
        assert [accuracy, val_accuracy, val_loss] == [last[0], last[1], last[3]]
    rows = [line.split() for line in output.splitlines() if line.startswith("    ")]
    progress = [row for row in rows if row[0] in ("1", "2")]
    keys = [(sweep, epoch) for sweep in sweeps for epoch in EPOCHS]
    for row, (sweep, epoch) in zip(progress, keys, strict=True):
        accuracies = [history[(*sweep, str(rate), str(epoch))][1] for rate in TWO]
        assert row[:3] == [str(epoch), *(f"{100 * value:.2f}" for value in accuracies)]
    tables = [row for row in rows if row[0] in ("0.0", "0.8")]
    keys = [(panel, rate) for panel in PANELS for rate in TWO]
    for (panel, rate), (_, *cells) in zip(keys, tables, strict=True):
        values = np.array([final[panel, str(seed), str(rate)][:3] for seed in SEEDS])
        np.testing.assert_allclose(
            [float(cell) for cell in cells[:3]], 100 * values.mean(0), 0, 0.006
        )
        assert len(cells) == 3 if rate == 0 else cells[4] == "±"


def test_killed_and_continued_by_two_at_once_to_the_same_bytes(runs):
    folder, process = runs["killed"]
    process.communicate(timeout=SECONDS)
    left = (folder / "left").read_text().split()
    assert len(left) == 2 and all(name.endswith(".npz") for name in left)  # the records
    for name in ("one", "two"):
        output = (folder / name).read_text()
        assert "the run continues" in output and "Error" not in output
    assert contents(folder) == contents(runs["whole"][0]) and not records(folder)


def test_a_record_counts_for_one_script_version_and_data_alone(monkeypatch, tmp_path):
    monkeypatch.setattr(d, "FIGURES_DIR", str(tmp_path))
    images, labels = np.zeros([2, 3], np.uint8), np.zeros(2, np.int64)
    digests = [d.digest_run(script, [images, labels]) for script in (b"one", b"other")]
    digests.append(d.digest_run(b"one", [images + 1, labels]))
    monkeypatch.setattr(d.keras, "__version__", "0")
    digests.append(d.digest_run(b"one", [images, labels]))
    assert len(set(digests)) == 4
    path = d.record_path(digests[0], 0, 0)
    assert path.name.startswith(".network_dropout_") and d.read_record(path) is None
    path.write_bytes(b"no archive")
    assert d.read_record(path) is None


NOTEBOOK = """
import linecache, os, sys
import dropout_sweep as d
assert os.environ["KERAS_BACKEND"] == "tensorflow" and d.keras.backend.backend() == "tensorflow"
print("quiet so far")
d.np.savez = None  # no records
d.EPOCHS, d.DROPOUT_RATES, d.DATA_FILE = 1, [*d.np.linspace(0, 0.5, 2)], sys.argv[1]
d.main()
text = open(sys.argv[2]).read()
linecache.cache["<cell>"] = len(text), None, text.splitlines(True), "<cell>"  # as IPython does
exec(compile(text, "<cell>", "exec"), {"__name__": "__main__"})
"""


def test_imported_quietly_then_run_and_pasted_in_a_notebook(digits, tmp_path):
    (tmp_path / "notebook.py").write_text(NOTEBOOK)
    small = {"EPOCHS": 1, "DROPOUT_RATES": [0.5], "DATA_FILE": digits, "FIGURE_FORMAT": "pdf"}
    pasted = edit(tmp_path / "pasted", **small)
    env = os.environ | {"PYTHONPATH": str(SCRIPT.parent), "KERAS_BACKEND": "jax"}
    command = [sys.executable, "notebook.py", digits, str(pasted)]
    options = {"cwd": tmp_path, "env": env, "capture_output": True, "encoding": "utf-8"}
    process = subprocess.run(command, check=False, timeout=SECONDS, **options)
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("quiet so far\ndigits: 300 training images")
    assert len(contents(tmp_path)) == len(OUTPUTS) + 5  # five of them as .png and as .pdf


def made_up(seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns results of three rates and epochs, each column of its own."""
    random = np.random.default_rng(seeds)
    history = np.zeros([2, seeds, 3, 3], d.HISTORY)
    for column, level in zip(d.HISTORY.names, (0.9, 0.8, 0.5, 0.4)):
        steps = np.array([[0, 0, 0], [-0.02, 0, 0.02], [-0.3, -0.3, -0.3]])
        history[column] = level + steps + random.normal(scale=0.0005, size=history.shape)
    final = np.zeros(history.shape[:-1], d.FINAL)
    final["val_accuracy"] = history["val_accuracy"][..., -1]
    return history, final


RATE_LIST = [0.0, 0.2, 0.9]


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.setattr(d, "NORMALIZATIONS", ["layer", None])
    return lambda seeds: d.plot_results("mnist", RATE_LIST, *made_up(seeds))


def test_lines_are_means_in_bands_of_a_standard_deviation(figures):
    history, _ = made_up(9)
    columns = {"accuracy": "training", "val_accuracy": "validation", "val_loss": "validation"}
    for column, word in columns.items():
        figure = figures(9)[column]
        values = history[column] * (1 if column == "val_loss" else 100)
        assert word in figure.axes[0].get_ylabel() and "seeds: 9" in figure.get_suptitle()
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert names == ["rate 0.0", "rate 0.2", "rate 0.9"]
        for axes, panel in zip(figure.axes, values, strict=True):
            for row, (line, band) in enumerate(zip(axes.lines, axes.collections, strict=True)):
                mean = panel[:, row].mean(axis=0)
                spread = panel[:, row].std(axis=0, ddof=1)
                np.testing.assert_allclose(line.get_data(), [[1, 2, 3], mean])
                heights = band.get_paths()[0].vertices[:, 1]
                for height in (*(mean - spread), *(mean + spread)):
                    assert abs(heights - height).min() < 1e-9
    assert [axes.get_title() for axes in figure.axes] == [
        "normalization: layer",
        "normalization: None",
    ]


def points(axes) -> dict[str, list]:
    """Returns (rate, difference, half-width) of a panel by the words of the legend."""
    found = {}
    for container in axes.containers:
        line, _, (bars,) = container
        lengths = [(segment[1][1] - segment[0][1]) / 2 for segment in bars.get_segments()]
        found[container.get_label()] = list(zip(*line.get_data(), lengths, strict=True))
    return found


def test_the_difference_figures_show_what_is_sure(figures):
    _, final = made_up(9)
    values = 100 * final["val_accuracy"]
    at_the_end, by_epoch = figures(9)["difference"], figures(9)["difference_by_epoch"]
    assert "95 % intervals" in at_the_end.get_suptitle()
    for panel, axes in enumerate(at_the_end.axes):
        mean, half_width = d.compare_with_first(values[panel])
        shown = points(axes)
        np.testing.assert_allclose(shown["better"], [(0.2, mean[1], half_width[1])])
        np.testing.assert_allclose(shown["worse"], [(0.9, mean[2], half_width[2])])
        assert shown["not significant"] == []
        assert axes.get_title().endswith(f"rate 0.0: {values[panel][:, 0].mean():.2f} %")
    history, _ = made_up(9)
    for panel, axes in enumerate(by_epoch.axes):
        accuracies = 100 * history["val_accuracy"][panel]
        mean = (accuracies - accuracies[:, :1]).mean(axis=0)
        lines = {line.get_label(): line for line in axes.lines}
        np.testing.assert_allclose(lines["rate 0.2"].get_data(), [[1, 2, 3], mean[1]])
        marked = [list(line.get_markevery()) for line in axes.lines]
        assert marked == [[False] * 3, [True, False, True], [True] * 3]
        bottom, top = axes.get_ylim()
        assert bottom < mean.min() and mean.max() < top


@pytest.mark.parametrize("seeds", [1, 2])
def test_under_three_seeds_the_figures_say_that_nothing_was_tested(seeds, figures):
    for name in ("difference", "difference_by_epoch"):
        assert "(not tested)" in figures(seeds)[name].get_suptitle()
    shown = points(figures(seeds)["difference"].axes[0])
    assert list(shown) == ["not tested"] and len(shown["not tested"]) == 2
    for axes in figures(seeds)["difference_by_epoch"].axes:
        assert not any(any(line.get_markevery()) for line in axes.lines)


def test_odd_numbers_can_be_drawn(monkeypatch):
    monkeypatch.setattr(d, "NORMALIZATIONS", ["layer"])
    for odd in (np.nan, np.inf, 0, 1, 1e-9, 0.9731):
        history = np.full([1, 2, 2, 3], odd, d.HISTORY)
        history["val_accuracy"][0, 0, 1] = 0.9732
        final = np.full([1, 2, 2], odd, d.FINAL)
        for figure in d.plot_results("a$b$c", [0.0, 0.5], history, final).values():
            figure.draw_without_rendering()
            axes = figure.axes[0]
            bottom, top = axes.get_ylim()
            values = [y for line in axes.lines for y in line.get_ydata() if np.isfinite(y)]
            assert all(bottom <= value <= top for value in values)
            ticks = [tick for tick in axes.get_yticks() if bottom <= tick <= top]
            assert ticks


def test_drawn_digits_stand_in_for_mnist_alone(monkeypatch, capsys):
    time_outs = []

    def load_data():
        time_outs.append(d.socket.getdefaulttimeout())
        raise failure

    monkeypatch.setattr(d, "draw_digits", lambda: "digits")
    for failure in (Exception("URL fetch failure"), TimeoutError(), ValueError("corrupted")):
        monkeypatch.setattr(d.keras.datasets.mnist, "load_data", load_data)
        assert d.load_dataset() == ("drawn_digits", "digits")
        assert "DATA_FILE" in capsys.readouterr().out
        monkeypatch.setattr(d.keras.datasets.cifar10, "load_data", load_data)
        with (
            monkeypatch.context() as patch,
            pytest.raises(SystemExit, match="DATASET is 'cifar10'"),
        ):
            patch.setattr(d, "DATASET", "cifar10")
            d.load_dataset()
    assert set(time_outs) == {30} and d.socket.getdefaulttimeout() is None
    failure = TypeError("a bug")
    with pytest.raises(TypeError):
        d.load_dataset()


def test_drawn_digits_are_the_same_under_every_setting_and_can_be_learned():
    arrays = d.draw_digits(2_000, 500)
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 37, "font.weight": "bold"}):
        for array, again in zip(arrays, d.draw_digits(2_000, 500), strict=True):
            np.testing.assert_array_equal(array, again)
    network = d.build_network("batch", 0.2, (28, 28), 10)
    network.fit(*arrays[:2], epochs=8, verbose=0)
    assert 0.4 < network.evaluate(*arrays[2:], verbose=0)[1] < 0.999


@pytest.mark.skipif("MNIST_NPZ" not in os.environ, reason="MNIST_NPZ names no file")
def test_mnist_gives_the_committed_numbers(monkeypatch):
    monkeypatch.setattr(d, "DATA_FILE", os.environ["MNIST_NPZ"])
    monkeypatch.setattr(d, "EPOCHS", 1)
    _, arrays = d.load_data()
    data = [d.tf.constant(array) for array in arrays]
    rates = [0.0, 0.3, 0.9]
    history, _ = d.run_sweeps(None, rates, data)
    _, committed, _ = read_run("thirty_epochs")
    for row, rate in enumerate(rates):
        values, expected = (
            list(each) for each in (history[0, 0, row, 0], committed[0, 0, RATES.index(rate), 0])
        )
        np.testing.assert_allclose(values, expected, atol=0.004)  # on any processor
