"""The whole script: what it prints, draws and writes, and how it goes on after it was stopped."""

import linecache
import os
import subprocess
import sys
from code import InteractiveInterpreter

import matplotlib
import numpy as np
import pytest
from conftest import FIGURES, OUTPUTS, RATES, SCRIPT, SECONDS, contents, edit, read_run

import dropout_sweep as d


def test_files_and_tables_agree(runs):
    folder, process = runs["whole"]
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, "")
    files = contents(folder)
    assert sorted(files) == [f"network_dropout_digits_{name}" for name in OUTPUTS]
    assert all(f"Wrote figures/{name}\n" in output for name in files)
    head, *rows = files["network_dropout_digits_history.csv"].decode().splitlines()
    assert head == "normalization,seed,dropout_rate,epoch,accuracy,val_accuracy,loss,val_loss"
    sweeps = [f"{name},{seed}" for name in ("layer", "none") for seed in (0, 5, 6)]
    keys = [f"{sweep},{rate},{n}" for sweep in sweeps for rate in (0.0, 0.8) for n in (1, 2)]
    assert [row.rsplit(",", 4)[0] for row in rows] == keys
    history, final = read_run(folder / "figures", "digits")
    for name in ("accuracy", "val_accuracy", "val_loss"):
        np.testing.assert_array_equal(final[name], history[name][..., -1])
    lines = [line.split() for line in output.splitlines() if line.startswith("    ")]
    progress = np.float64([line[1:3] for line in lines if line[0] in ("1", "2")])
    expected = 100 * np.moveaxis(history["val_accuracy"], 2, 3).reshape(-1, 2)
    np.testing.assert_allclose(progress, expected, 0, 0.0051)
    table = [line for line in lines if line[0] in ("0.0", "0.8")]
    means = 100 * final["val_accuracy"].mean(axis=1).reshape(-1)
    np.testing.assert_allclose([float(line[3]) for line in table], means, 0, 0.0051)


def test_killed_and_continued_by_two_at_once_to_the_same_bytes(runs):
    folder, process = runs["killed"]
    process.communicate(timeout=SECONDS)
    for name in ("one", "two"):
        output = (folder / name).read_text()
        assert "the run continues" in output and "Error" not in output
    assert contents(folder) == contents(runs["whole"][0])


def test_a_record_counts_for_one_script_version_and_data_alone(monkeypatch):
    data = [d.tf.zeros([2])]
    digests = {d.digest_run(b"one", data), d.digest_run(b"two", data)}
    digests.add(d.digest_run(b"one", [d.tf.ones([2])]))
    monkeypatch.setattr(d.keras, "__version__", "0")
    digests.add(d.digest_run(b"one", data))
    assert len(digests) == 4


def test_imported_quietly_and_with_tensorflow():
    code = "import dropout_sweep; print(dropout_sweep.keras.backend.backend())"
    options = {"cwd": SCRIPT.parent, "env": os.environ | {"KERAS_BACKEND": "jax"}}
    options |= {"stderr": subprocess.STDOUT, "text": True, "timeout": SECONDS}
    assert subprocess.check_output([sys.executable, "-c", code], **options) == "tensorflow\n"


def test_pasted_into_a_notebook(digits, tmp_path, monkeypatch):
    text = edit(tmp_path, EPOCHS=1, DROPOUT_RATES=[0.5], DATA_FILE=digits).read_text()
    lines = text.splitlines(keepends=True)
    monkeypatch.setitem(linecache.cache, "<cell>", (len(text), None, lines, "<cell>"))  # IPython's
    monkeypatch.setattr(np, "savez", None)  # there are no records
    monkeypatch.chdir(tmp_path)
    InteractiveInterpreter({"__name__": "__main__"}).runcode(compile(text, "<cell>", "exec"))
    assert len(contents(tmp_path)) == len(OUTPUTS)


@pytest.fixture(params=[1, 2, 20])
def results(request, monkeypatch) -> tuple[np.ndarray, np.ndarray, dict]:
    """History, final and figures of so many seeds."""
    names = ["layer", "batch", "a$b$c"]
    monkeypatch.setattr(d, "NORMALIZATIONS", names)
    history, final = (table[:, : request.param] for table in read_run(FIGURES / "thirty_epochs"))
    figures = d.plot_results("a$b$c", RATES, history, final)
    for figure in figures.values():
        figure.draw_without_rendering()
        assert f"seeds: {request.param}" in figure.get_suptitle()
        titles = [axes.get_title().split("\n")[0] for axes in figure.axes]
        assert titles == [f"normalization: {name}" for name in names]
    return history, final, figures


def test_lines_are_means_in_bands_of_a_standard_deviation(results):
    history, _, figures = results
    columns = {"accuracy": "training", "val_accuracy": "validation", "val_loss": "validation"}
    for column, word in columns.items():
        assert word in figures[column].axes[0].get_ylabel()
        values = history[column] * (1 if column == "val_loss" else 100)
        for axes, panel in zip(figures[column].axes, values, strict=True):
            assert [line.get_label() for line in axes.lines] == [f"rate {rate}" for rate in RATES]
            means = panel.mean(axis=0)
            np.testing.assert_allclose([line.get_ydata() for line in axes.lines], means)
            spreads = panel.std(axis=0, ddof=1) if len(panel) > 1 else 0 * means
            for band, top in zip(axes.collections, (means + spreads).max(axis=1), strict=True):
                assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(top)


def test_a_narrow_axis_has_numbers():
    figure = d.plot_epochs("run", "accuracy (%)", [0.0], np.array([[[[94.2, 94.7]]]]))
    ticks = figure.axes[0].get_yticks(minor=True)
    assert len(ticks) > 2 and abs(ticks - 94.5).max() < 0.5


def test_the_difference_figures_show_what_is_sure(results):
    history, final, figures = results
    is_tested = final.shape[1] > 2
    words = "95 % interval" if is_tested else "(not tested)"
    at_the_end = figures["difference"]
    assert words in at_the_end.get_suptitle()
    for axes, values in zip(at_the_end.axes, 100 * final["val_accuracy"], strict=True):
        mean, half_width = d.compare_with_first(values)
        (points, _, (bars,)) = axes.containers[0]
        np.testing.assert_allclose(np.float64(points.get_data()), [RATES, mean])
        lengths = [np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments() if len(bar)]
        np.testing.assert_allclose(lengths, half_width if is_tested else [0], atol=1e-9)
        assert axes.get_title().endswith(f"rate 0.0: {values[:, 0].mean():.2f} %")
    by_epoch = figures["difference_by_epoch"]
    assert words in by_epoch.get_suptitle()
    for axes, values in zip(by_epoch.axes, 100 * history["val_accuracy"], strict=True):
        for epoch in range(30):
            mean, half_width = d.compare_with_first(values[..., epoch])
            shown = [line.get_ydata()[epoch] for line in axes.lines]
            np.testing.assert_allclose(shown, mean, atol=1e-9)
            marked = [line.get_markevery()[epoch] for line in axes.lines]
            np.testing.assert_array_equal(marked, (abs(mean) > half_width) | (not is_tested))


@pytest.mark.parametrize("name", ["mnist", "cifar10"])
@pytest.mark.parametrize("failure", [None, Exception(), OSError(), ValueError(), TypeError()])
def test_keras_loads_the_data_or_drawn_digits_stand_in_for_mnist(name, failure, monkeypatch):
    def load_data():
        assert d.socket.getdefaulttimeout() == 30
        if failure:
            raise failure
        return ("x_train", "y_train"), ("x_test", "y_test")

    monkeypatch.setattr(d, "DATASET", name)
    monkeypatch.setattr(d, "draw_digits", lambda: "digits")
    monkeypatch.setattr(getattr(d.keras.datasets, name), "load_data", load_data)
    if failure is None:
        assert d.load_dataset() == (name, d.ARRAY_NAMES)
    elif name == "mnist" and not isinstance(failure, TypeError):
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
    committed = read_run(FIGURES / "thirty_epochs")[0][0, 0, [0, 3, 9], 0]
    for name in d.HISTORY.names:
        np.testing.assert_allclose(history[name][0, 0, :, 0], committed[name], atol=0.004)
