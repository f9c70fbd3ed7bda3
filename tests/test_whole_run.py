"""The whole script: what it prints, draws and writes, and how it goes on after it was stopped."""

import itertools
import os
import subprocess
import sys
from code import InteractiveInterpreter
from unittest import mock

import matplotlib
import numpy as np
import pytest
from conftest import FIGURES, OUTPUTS, RATES, SCRIPT, SECONDS, contents, edit, read_run

import dropout_sweep as d


def test_files_and_tables_agree_though_the_script_was_saved_while_it_ran(runs):
    folder, process = runs["saved"]
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and "Error" not in errors
    files = contents(folder)
    assert sorted(files) == [f"network_dropout_digits_{name}" for name in OUTPUTS]
    assert all(f"Wrote figures/{name}\n" in output for name in files)
    assert files["network_dropout_digits_script.py"] == (folder / "read.py").read_bytes()
    head, *rows = files["network_dropout_digits_history.csv"].decode().splitlines()
    assert head.split(",") == ["normalization", "seed", "dropout_rate", "epoch", *d.RESULT_NAMES]
    keys = itertools.product(("layer", "none"), "05", ("0.0", "0.8"), "12")
    assert [row.rsplit(",", 5)[0] for row in rows] == [",".join(key) for key in keys]
    assert rows[0].endswith(",") and rows[1].count(",") == 8 and not rows[1].endswith(",")
    assert "\nSweep 4 of 4: normalization none, seed 5, validation accuracy in %\n" in output
    history = read_run(folder / "figures", "digits")
    lines = [line.split() for line in output.splitlines() if line.startswith("    ")]
    progress = np.float64([line[1:3] for line in lines if line[0] in ("1", "2")])
    expected = 100 * np.moveaxis(history["val_accuracy"], 2, 3).reshape(-1, 2)
    np.testing.assert_allclose(progress, expected, 0, 0.0051)
    table = [np.float64(line[1:4]) for line in lines if line[0] in ("0.0", "0.8")]
    names = ["accuracy", "accuracy_dropout_off", "val_accuracy"]
    means = [100 * history[name][..., -1].mean(axis=1).reshape(-1) for name in names]
    np.testing.assert_allclose(table, np.transpose(means), 0, 0.0051)


def test_killed_and_continued_by_two_at_once_to_the_same_bytes(runs):
    folder, process = runs["killed"]
    process.communicate(timeout=SECONDS)
    for name in ("one", "two"):
        output = (folder / name).read_text()
        assert output.count("before the run was interrupted") >= 2 and "Error" not in output
    assert contents(folder) == contents(runs["saved"][0])


def test_a_record_counts_for_one_script_its_constants_versions_and_data_alone(monkeypatch):
    def find_record(*shape: int, value: int = 0) -> str:
        images = d.tf.fill(shape or (2, 2), value)
        return d.find_record(d.Data("odd", images, images, 1, (2, 2), 3)).name

    records = [find_record(), find_record(value=1), find_record(4, 1)]
    names = [(d, "EPOCHS", 7), (d, "SEEDS", range(3)), (d, "OWN", 0.1), (d.tf, "__version__", "0")]
    names += [(d.keras, "__version__", "0"), (d, "SCRIPT", b"other"), (d, "SCRIPT", b"")]
    for owner, name, value in names:
        monkeypatch.setattr(owner, name, value, raising=False)
        records.append(find_record())
    records.append(find_record())  # without a script each run is another one
    assert len(set(records)) == len(records) == 11
    monkeypatch.setattr(d, "SCRIPT", b"other")
    monkeypatch.setattr(d, "TABLE", {"own": lambda: None}, raising=False)
    assert find_record() == records[-3]  # though functions have other addresses in each run


@mock.patch.multiple(d, DROPOUT_RATES=[0.5], SEEDS=range(3), EPOCHS=1)
def test_interrupted_by_ctrl_c(digits, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(d, "DATA_FILE", digits)
    monkeypatch.setattr(d, "FIGURES_DIR", str(tmp_path))
    results = dict.fromkeys(d.RESULT_NAMES, np.ones([1, 1]))
    with mock.patch.object(d, "train_sweep", side_effect=[results, KeyboardInterrupt]):
        pytest.raises(SystemExit, d.main).match("1 of 3; run the script again, unchanged, to")
    (record,) = tmp_path.glob(".network*")
    (tmp_path / ".network_dropout_other.npz").touch()
    networks = d.main()  # of the last sweep, trained
    assert int(networks[0.5].optimizer.iterations) == 3 and not record.exists()
    output = capsys.readouterr().out
    assert output.count("Trained before") == 1 and "here: .network_dropout_other.npz\n" in output
    monkeypatch.setattr(d, "SCRIPT", b"")  # a notebook
    with mock.patch.object(d, "load_data", side_effect=KeyboardInterrupt):
        pytest.raises(SystemExit, d.main).match("0 of 3; none is on record")


def test_imported_quietly_with_tensorflow_as_it_was():
    code = "import dropout_sweep as d; threads = d.tf.config.threading;"
    code += "print(d.keras.backend.backend(), threads.get_intra_op_parallelism_threads())"
    options = {"cwd": SCRIPT.parent, "env": os.environ | {"KERAS_BACKEND": "jax"}}
    output = subprocess.check_output([sys.executable, "-c", code], **options, timeout=SECONDS)
    assert output == b"tensorflow 0\n"


@pytest.mark.parametrize("file", [{}, {"__file__": "<stdin>"}])
def test_without_a_file(file, digits, tmp_path, monkeypatch):
    """Pasted into a notebook, or read from standard input."""
    text = edit(tmp_path, EPOCHS=1, DROPOUT_RATES=[0.5], DATA_FILE=digits).read_text()
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__", **file}
    InteractiveInterpreter(names).runcode(compile(text, "<cell>", "exec"))
    assert list(names["networks"]) == [0.5]
    assert len(contents(tmp_path)) == len(OUTPUTS) - 1  # there is no script


@pytest.mark.parametrize("seeds", [1, 2, 20])
@mock.patch.multiple(d, NORMALIZATIONS=["layer", "batch", None], EPOCHS=30)
def test_figures_show_means_spreads_and_what_is_sure(seeds, monkeypatch):
    monkeypatch.setattr(d, "SEEDS", range(seeds))
    history = read_run(FIGURES / "thirty_epochs")[:, :seeds]
    history = {name: history[name] * (1 if "loss" in name else 100) for name in d.RESULT_NAMES}
    final = {name: values[..., -1] for name, values in history.items()}
    figures = d.plot_results("a$b$c", RATES, history, final)
    words = {"by_rate": "all rates at once", "difference_by_epoch": "tested by itself"}
    for name, figure in figures.items():
        title = figure.get_suptitle()
        assert f"a$b$c, epochs: 30, seeds: {seeds}, BATCH_SIZE = 128" in title
        assert figure.axes[2].get_title() == "normalization: none"
        assert "stretched" in figure.axes[0].get_ylabel()
        if name in words:
            assert (words[name] in title) == (seeds > 2) and ("too few" in title) == (seeds < 3)
            continue
        assert ("one standard deviation" in title) == (seeds > 1)
        assert ("dropout on" in title) == (name == "accuracy")
        for axes, panel in zip(figure.axes, history[name], strict=True):
            assert [line.get_label() for line in axes.lines] == [f"rate {rate}" for rate in RATES]
            means = panel.mean(axis=0)
            np.testing.assert_allclose([line.get_ydata() for line in axes.lines], means)
            spreads = panel.std(axis=0, ddof=1) if seeds > 1 else 0 * means
            for band, top in zip(axes.collections, (means + spreads).max(axis=1), strict=True):
                assert band.get_paths()[0].vertices[:, 1].max() == pytest.approx(top)
    panels = zip(figures["by_rate"].axes, final["accuracy_dropout_off"], final["val_accuracy"])
    for axes, training, values in panels:
        assert axes.get_xticks().tolist() == RATES
        _, half_width = d.compare_with_first(values)
        (points, _, (bars,)) = axes.containers[0]
        np.testing.assert_allclose(np.float64(points.get_data()), [RATES, values.mean(axis=0)])
        lengths = [np.ptp(bar[:, 1]) / 2 for bar in bars.get_segments() if len(bar)]
        np.testing.assert_allclose(lengths, half_width if seeds > 2 else [0], atol=1e-9)
        np.testing.assert_allclose(axes.lines[0].get_ydata(), training.mean(axis=0))
        assert axes.lines[-1].get_ydata()[0] == pytest.approx(values[:, 0].mean())
    for axes, values in zip(figures["difference_by_epoch"].axes, history["val_accuracy"]):
        mean, half_width = d.compare_with_first(values)
        np.testing.assert_allclose([line.get_ydata() for line in axes.lines], mean, atol=1e-9)
        marked = [line.get_markevery() for line in axes.lines]
        np.testing.assert_array_equal(marked, abs(mean) > half_width if seeds > 2 else 1)
    narrow = d.plot_epochs("run", d.ACCURACY_AXIS, [0.0], np.array([[[[94.2, 94.7]]]]))
    ticks = narrow.axes[0].get_yticks(minor=True)
    assert len(ticks) > 2 and abs(ticks - 94.5).max() < 0.5  # or there would be no number


@pytest.mark.parametrize("failure", [None, Exception("why"), OSError, ValueError, TypeError])
@pytest.mark.parametrize("name", ["mnist", "cifar10"])
def test_keras_loads_the_data_or_drawn_digits_stand_in_for_mnist(name, failure, monkeypatch):
    monkeypatch.setattr(d, "DATASET", name)
    monkeypatch.setattr(d, "draw_digits", lambda: "drawn")
    arrays = ("x_train", "y_train"), ("x_test", "y_test")
    load_data = mock.Mock(side_effect=failure, return_value=arrays)
    monkeypatch.setattr(getattr(d.keras.datasets, name), "load_data", load_data)
    with mock.patch.object(d.socket, "setdefaulttimeout") as timeout:
        if failure is TypeError:  # a bug
            pytest.raises(TypeError, d.load_dataset)
        elif failure and name == "cifar10":
            pytest.raises(SystemExit, d.load_dataset).match("DATASET is 'cifar10', .* DATA_FILE")
        else:
            expected = ("drawn_digits", "drawn") if failure else (name, d.ARRAY_NAMES)
            assert d.load_dataset() == expected
    assert timeout.mock_calls == [mock.call(30), mock.call(None)]


def test_drawn_digits_are_the_same_under_every_setting(digits):
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 37, "font.weight": "bold"}):
        arrays = d.draw_digits(300, 100)
    np.testing.assert_equal(dict(zip(d.ARRAY_NAMES, arrays)), dict(np.load(digits)))


@pytest.mark.skipif("MNIST_NPZ" not in os.environ, reason="MNIST_NPZ names no file")
@mock.patch.multiple(d, DATA_FILE=os.environ.get("MNIST_NPZ"), EPOCHS=1)
def test_mnist_gives_the_committed_numbers():
    sweep = d.Sweep(d.build_networks("layer", 0, [0.0, 0.3, 0.9], data := d.load_data()), data)
    sweep.start_again(sweep.networks, 0)
    results = d.train_sweep(sweep)
    committed = read_run(FIGURES / "thirty_epochs")[0, 0, [0, 3, 9], 0]
    for name in d.RESULT_NAMES[:4]:
        np.testing.assert_allclose(results[name][:, 0], committed[name], atol=0.004)
