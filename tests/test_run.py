"""The whole script, run as a user runs it: what it prints, draws and writes."""

import csv
import itertools
import os
import re
import socket
import subprocess
import sys

import keras
import matplotlib
import numpy as np
import pytest
from conftest import SCRIPT, contents, load, run

import dropout_sweep

RATES, SEEDS, EPOCHS, PANELS = [0.0, 0.4, 0.8], [0, 5, 6], [1, 2], ["layer", "none"]
FIGURES = ["accuracy.png", "difference.png", "difference_by_epoch.png", "rates.png"]
FIGURES += ["val_accuracy.png", "val_loss.png"]
OUTPUTS = sorted([*FIGURES, "final.csv", "history.csv"])
KEYS = ["normalization", "seed", "dropout_rate", "epoch"]
HISTORY = ["accuracy", "val_accuracy", "loss", "val_loss"]
FINAL = ["accuracy", "accuracy_dropout_off", "val_accuracy", "val_loss"]


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
    history = read(folder, "digits_history", HISTORY)
    return folder, output, constants, history, read(folder, "digits_final", FINAL)


def test_files_and_tables_agree(several):
    folder, output, _, history, final = several
    names = [f"network_dropout_digits_{name}" for name in OUTPUTS]
    assert sorted(contents(folder)) == names and all(name in output for name in names)
    assert contents(folder)[names[0]][16:24] == bytes([0, 0, 7, 8, 0, 0, 2, 238])  # 1800 x 750
    sweeps = [(panel, str(seed)) for panel in PANELS for seed in SEEDS]
    assert list(final) == [(*sweep, str(rate)) for sweep in sweeps for rate in RATES]
    assert list(history) == [(*key, str(epoch)) for key in final for epoch in EPOCHS]
    for key, values in final.items():
        accuracy, val_accuracy, _, val_loss = history[(*key, "2")]
        assert [accuracy, val_accuracy, val_loss] == [values[0], values[2], values[3]]
    assert output.count("Total params") == 2
    rows = re.findall(r"(?m)^ +([12])((?: +[\d.]{4,5}){3}) +[\d.]+ +\d:\d\d:\d\d$", output)
    keys = [(sweep, str(epoch)) for sweep in sweeps for epoch in EPOCHS]
    for (epoch, cells), (sweep, expected) in zip(rows, keys, strict=True):
        accuracies = [history[(*sweep, str(rate), epoch)][1] for rate in RATES]
        assert (epoch, cells.split()) == (expected, [f"{100 * value:.2f}" for value in accuracies])
    tables = output.split("\nAfter epoch 2, ")[1:]
    for table, panel in zip(tables, PANELS, strict=True):
        assert table.startswith(f"{panel.replace('none', 'no')} normalization, 3 seeds\n")
        rows = re.findall(r"(?m)^ +(0\.\d)((?: +[\d.]{4,5}){3})(.*)$", table)
        comparisons = dropout_sweep.compare_with_first(100 * at_the_end(final, panel, 2))
        for (rate, cells, rest), mean, half_width in zip(rows, *comparisons, strict=True):
            values = 100 * np.array([final[panel, str(seed), rate][:3] for seed in SEEDS])
            cells = np.array(cells.split(), float)
            np.testing.assert_allclose(cells, values.mean(axis=0), atol=6e-3)
            difference = f"{mean:+.2f} ± {half_width:.2f}".rjust(15)
            assert rest.startswith("" if rate == "0.0" else difference)
            assert ("worse" in rest) == (mean < -half_width)
            assert ("better" in rest) == (mean > half_width)


def test_the_same_numbers_whatever_order_and_company(several, tmp_path):
    _, _, constants, history, _ = several
    alone = {"SEEDS": [6], "NORMALIZATIONS": [None], "FIGURES_DIR": str(tmp_path / "figures")}
    load(tmp_path, **constants | alone).main()
    for key, values in read(tmp_path, "digits_history", HISTORY).items():
        np.testing.assert_array_equal(values, history[key])


def test_figures_show_what_the_files_hold_at_every_run(several, tmp_path, monkeypatch):
    folder, _, constants, history, final = several
    module = load(tmp_path, **constants, FIGURES_DIR=str(tmp_path / "figures"))
    figures = []
    as_image = module.as_image
    monkeypatch.setattr(
        module, "as_image", lambda figure: figures.append(figure) or as_image(figure)
    )
    module.main()
    assert contents(tmp_path) == contents(folder)
    assert history["layer", "5", "0.4", "2"][0] != history["layer", "6", "0.4", "2"][0]
    titles = [
        "training accuracy, dropout on",
        "validation accuracy, dropout off",
        "validation loss, dropout off",
        "accuracy after the last epoch",
        "does dropout help?\n(95 % intervals, simultaneous for all rates)",
        "from when?\n(filled where a 95 % interval, simultaneous for all rates, leaves out 0)",
    ]
    for figure, title in zip(figures, titles, strict=True):
        assert figure.get_suptitle() == f"digits, 2 epochs, 3 seeds: {title}"
        for axes, panel in zip(figure.axes, PANELS, strict=True):
            words = f"{panel.replace('none', 'no')} normalization"
            assert axes.get_title().split("\n")[0] == words
    names = [f"rate {rate}" for rate in RATES]
    for column, figure in zip(("accuracy", "val_accuracy", "val_loss"), figures):
        assert [text.get_text() for text in figure.legends[0].get_texts()] == names
        assert figure.axes[0].get_ylabel() == column.removeprefix("val_")
        for axes, panel in zip(figure.axes, PANELS):
            bands = axes.collections
            for line, band, rate in zip(axes.lines, bands, RATES, strict=True):
                keys = [[(panel, s, str(rate), e) for e in ("1", "2")] for s in map(str, SEEDS)]
                column_number = HISTORY.index(column)
                points = np.array([[history[key][column_number] for key in row] for row in keys])
                shows(line, band, EPOCHS, points)
    columns = {"training, dropout on": 0, "training, dropout off": 1, "validation, dropout off": 2}
    for axes, panel in zip(figures[3].axes, PANELS):
        for line, band in zip(axes.lines, axes.collections, strict=True):
            shows(line, band, RATES, at_the_end(final, panel, columns[line.get_label()]))
    for axes, panel in zip(figures[4].axes, PANELS):
        differences = 100 * at_the_end(final, panel, 2)
        assert axes.get_title().endswith(f"rate 0.0: {differences[:, 0].mean():.2f} %")
        differences -= differences[:, :1]
        shown = [point[:2] for points in drawn(axes).values() for point in points]
        np.testing.assert_allclose(
            sorted(shown), np.column_stack([RATES, differences.mean(axis=0)])[1:], atol=2e-4
        )


def at_the_end(final, panel: str, column: int) -> np.ndarray:
    """Returns a column of final.csv: float [seeds, rates]."""
    keys = [[(panel, str(seed), str(rate)) for rate in RATES] for seed in SEEDS]
    return np.array([[final[key][column] for key in row] for row in keys])


def drawn(axes) -> dict[str, list]:
    """Returns the (rate, difference, half-width) that a panel shows, by the words of the legend."""
    points = {}
    for container in axes.containers:
        line, _, (bars,) = container
        lengths = [(segment[1][1] - segment[0][1]) / 2 for segment in bars.get_segments()]
        points[container.get_label()] = list(zip(*line.get_data(), lengths, strict=True))
    return points


def test_the_difference_figure_answers_the_question(monkeypatch):
    monkeypatch.setattr(dropout_sweep, "NORMALIZATIONS", ["layer"])
    rates = [0.0, 0.2, 0.4, 0.6, 0.8, 0.9]
    means = np.array([0.970, 0.975, 0.970, 0.965, 0.960, 0.800])
    accuracies = means + np.random.default_rng(1).normal(scale=0.0005, size=[1, 9, 6])
    mean, half_width = 100 * np.array(dropout_sweep.compare_with_first(accuracies[0]))
    figure = dropout_sweep.plot_differences("title", rates, accuracies)
    (axes,) = figure.axes
    rows = {"better": [1], "not significant": [2], "worse": [3, 4]}
    for words, points in drawn(axes).items():
        wanted = [(rates[row], mean[row], half_width[row]) for row in rows[words]]
        np.testing.assert_allclose(points, wanted)
    looks = {(c.lines[0].get_color(), c.lines[0].get_marker()) for c in axes.containers}
    assert len({colour for colour, _ in looks}) == len({marker for _, marker in looks}) == 3
    # Rate 0.9 lies 17 points down: it is written, and leaves the room to the others.
    (text,) = axes.texts
    assert text.get_position()[0] == 0.9 and text.get_text() == f"−{-mean[5]:.1f} →"
    lowest, highest = axes.get_ylim()
    assert lowest < (mean - half_width)[:5].min() and lowest > -2
    assert highest > (mean + half_width).max()
    figure.draw_without_rendering()
    words = [entry.get_text() for entry in figure.legends[0].get_texts()]
    assert words == ["rate 0.0", "better", "not significant", "worse"]
    assert not figure.legends[0].get_window_extent().overlaps(axes.bbox)


@pytest.mark.parametrize(
    "accuracies", [[0.97], [0.97, 0.97], [0.97, 0.9, 0.8, 0.7], [0.7, 0.8, 0.9]]
)
def test_the_difference_figure_of_one_seed_claims_nothing(accuracies, monkeypatch):
    monkeypatch.setattr(dropout_sweep, "NORMALIZATIONS", ["layer"])
    rates = [0.5, 0.6, 0.7, 0.8][: len(accuracies)]
    figure = dropout_sweep.plot_differences("title", rates, np.array([[accuracies]]))
    points = drawn(figure.axes[0])
    assert not points["better"] and not points["worse"]
    assert all(length == 0 for _, _, length in points["not significant"])
    assert len(points["not significant"]) >= len(rates) // 2
    assert len(points["not significant"]) + len(figure.axes[0].texts) == len(rates) - 1
    assert figure.axes[0].get_title().endswith(f"rate 0.5: {100 * accuracies[0]:.2f} %")


def results(seeds: int, rates: int, epochs: int, accuracy: float = 0.9) -> list[np.ndarray]:
    """Returns equal results of a sweep with layer normalization, for the figures."""
    history = np.full([1, seeds, rates, epochs], accuracy, dropout_sweep.HISTORY)
    return [history, np.full([1, seeds, rates], accuracy, dropout_sweep.FINAL)]


@pytest.mark.parametrize(
    "rates, seeds, run, question",
    [
        ([0.0, 0.5], 1, "1 epoch, 1 seed", "does dropout help?"),
        ([0.2, 0.5], 2, "1 epoch, 2 seeds", "does more dropout help?"),
    ],
)
def test_titles_say_when_there_are_no_intervals(rates, seeds, run, question, monkeypatch):
    monkeypatch.setattr(dropout_sweep, "as_image", lambda figure: figure.get_suptitle())
    titles = dropout_sweep.plot_results("mnist", rates, *results(seeds, 2, 1))
    end = "\n(no intervals: these take three seeds)"
    assert titles["difference.png"] == f"mnist, {run}: {question}{end}"
    assert titles["difference_by_epoch.png"] == f"mnist, {run}: from when?{end}"


def shows(line, band, x, points) -> None:
    """A line is the mean over the seeds, points [seeds, x], in a band of a standard deviation."""
    mean, spread = points.mean(axis=0), points.std(axis=0, ddof=1)
    np.testing.assert_allclose(line.get_data(), [x, mean], atol=1e-6)
    (path,) = band.get_paths()
    for place, centre, reach in zip(x, mean, spread):
        heights = path.vertices[path.vertices[:, 0] == place, 1]
        np.testing.assert_allclose(
            [heights.min(), heights.max()], [centre - reach, centre + reach], atol=1e-6
        )


RANGES = [("accuracy", 0.9717, 0.9741), ("accuracy", 0.97, 0.97), ("accuracy", 0.1, 0.9999)]
RANGES += [("accuracy", 0.93, 0.979), ("accuracy", 0.5, 1), ("accuracy", 0, 0.1)]
RANGES += [("loss", 0.07, 1.3), ("loss", 0.08, 0.081), ("loss", 1e-6, 2e-6), ("loss", 0, 3)]
RANGES += [("loss", -1, 2), ("loss", 2.3, 800), ("loss", 0.07, np.inf), ("loss", np.nan, np.nan)]


@pytest.mark.parametrize("measure, low, high", RANGES)
def test_at_least_three_ticks_are_labelled(measure, low, high):
    means = np.append(np.linspace(low, min(high, 9), 19), high).reshape(10, 1, 1, 2)
    lines = {str(row): values for row, values in enumerate(means)}
    figure = dropout_sweep.plot_lines("a$b$c", measure, "epoch", [1, 2], lines)
    figure.draw_without_rendering()
    stretched = {"accuracy": 0 < low and high < 1, "loss": low > 0}[measure]
    assert (figure.axes[0].get_yscale() in ("logit", "log")) == stretched
    (axes,), (bottom, top) = figure.axes, figure.axes[0].get_ylim()
    ticks = [t for t in axes.yaxis.get_major_ticks() if bottom <= t.get_loc() <= top]
    texts = [tick.label1.get_text().replace("\N{MINUS SIGN}", "-") for tick in ticks]
    assert len(set(texts)) >= 3 and not figure.legends[0].get_window_extent().overlaps(axes.bbox)
    np.testing.assert_allclose(np.array(texts, float), [t.get_loc() for t in ticks], atol=1e-6)
    boxes = [tick.label1.get_window_extent() for tick in ticks]
    assert not any(box.overlaps(other) for box, other in itertools.combinations(boxes, 2))


BANDS = [
    ("accuracy", [[0.99, 0.9], [1, 0.9]]),  # of two seeds, up to above 1
    ("accuracy", [[0.999, 0.9], [0.00001, 0.9]]),
    ("loss", [[0.001, 0.5], [0.2, 0.5]]),
]


@pytest.mark.parametrize("measure, values", BANDS)
def test_bands_that_reach_where_the_axis_ends_do_not_squeeze_the_lines(measure, values):
    figure = dropout_sweep.plot_lines("", measure, "epoch", [1, 2], {"a": np.array([values])})
    (axes,) = figure.axes
    scale = axes.yaxis.get_transform()
    bottom, top = scale.transform(np.array(axes.get_ylim()))
    line = scale.transform(np.array(axes.lines[0].get_ydata()))
    assert axes.get_yscale() in ("logit", "log")
    assert bottom < line.min() and line.max() < top and np.ptp(line) > 0.3 * (top - bottom)
    (band,) = axes.collections
    (path,) = band.get_transform().transform_path(band.get_paths()[0]).to_polygons()
    assert len(path) == len(band.get_paths()[0].vertices) - 1  # no corner is left out


def boxes_overlap(figure) -> bool:
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    return any(legend.overlaps(axes.bbox) for axes in figure.axes)


def test_one_epoch_has_one_place_on_its_axis():
    values = np.full([1, 1, 2, 1], 0.9)
    for figure in (
        dropout_sweep.plot_epochs("", "accuracy", [0.0, 0.5], values),
        dropout_sweep.plot_differences_by_epoch("", [0.0, 0.5], values),
    ):
        figure.draw_without_rendering()
        (axes,) = figure.axes
        left, right = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if left <= tick <= right]
        assert ticks == [1] and left <= 0.5 and right >= 1.5


def test_a_hundred_rates_leave_room_for_their_lines():
    rates = [row / 101 for row in range(100)]
    values = np.linspace(0.98, 0.9, 300).reshape(1, 1, 100, 3)
    figures = [
        dropout_sweep.plot_epochs("", "accuracy", rates, values),
        dropout_sweep.plot_differences_by_epoch("", rates, values),
    ]
    for figure in figures:
        assert not boxes_overlap(figure)
        assert figure.axes[0].bbox.width > 0.6 * figure.bbox.width
        assert len(figure.legends[0].get_texts()) <= 20


def test_a_rate_is_never_shown_under_the_name_of_another():
    values = np.full([1, 1, 10, 2], 0.9)
    with pytest.raises(ValueError):
        dropout_sweep.plot_epochs("", "accuracy", [0.0, 0.2, 0.5], values)
    with pytest.raises(ValueError):
        dropout_sweep.plot_differences_by_epoch("", [0.0, 0.2, 0.5], values)
    with pytest.raises((ValueError, IndexError)):
        dropout_sweep.plot_differences("", [0.0, 0.2, 0.5], values[..., 0])


def test_an_epoch_that_was_not_trained_is_missing_in_files_figures_and_words(
    digits, tmp_path, capsys
):
    stop = (
        "\n        now = time.monotonic()\n",
        "\n        if epoch == 2:\n            break\n        now = 0\n",
    )
    constants = {"DATA_FILE": digits, "DROPOUT_RATES": [0.0, 0.5], "EPOCHS": 9, "SEEDS": [1, 2]}
    module = load(tmp_path, stop, **constants, FIGURES_DIR=str(tmp_path / "figures"))
    module.main()
    rows = read(tmp_path, "digits_history", HISTORY)
    assert {epoch for *_, epoch in rows} == {"1", "2"} and len(rows) == 8
    assert "After epoch 2, layer normalization" in capsys.readouterr().out
    history, _ = results(2, 2, 3)
    history[0, 1, :, 2] = np.nan  # one seed alone stopped: no mean for that epoch
    figure = dropout_sweep.plot_epochs("", "loss", [0.0, 0.5], history["loss"])
    assert np.isnan(figure.axes[0].lines[0].get_ydata()).tolist() == [False, False, True]


ODD = {
    "diverged": [np.inf, np.inf],
    "lost": [np.nan, np.nan],
    "half": [0.1, np.inf],
    "perfect": [1.0, 1.0],
    "nothing": [0.0, 0.0],
}


@pytest.mark.parametrize("values", ODD)
def test_odd_numbers_are_shown_or_the_figure_says_why_not(values):
    values = np.array(ODD[values]).reshape(1, 1, 1, 2)
    for measure in ("loss", "accuracy"):
        figure = dropout_sweep.plot_epochs("", measure, [0.0], values)
        figure.draw_without_rendering()
        (axes,) = figure.axes
        finite = np.isfinite(values).ravel()
        shown = axes.lines[0].get_ydata()
        np.testing.assert_array_equal(np.isfinite(shown), finite)
        assert [text.get_text() for text in axes.texts] == ["no finite numbers"] * (
            not finite.any()
        )
        bottom, top = axes.get_ylim()
        assert all(bottom < value < top for value in shown[finite])


def test_a_seed_that_collapses_does_not_hide_the_other_rates():
    random = np.random.default_rng(2)
    accuracies = random.normal(0.97, 0.001, size=[1, 5, 10])
    accuracies[0, 3, 9] = 0.1
    (axes,) = dropout_sweep.plot_differences("", [row / 10 for row in range(10)], accuracies).axes
    bottom, top = axes.get_ylim()
    assert -3 < bottom < -0.1 and 0.1 < top < 3
    accuracies[0, 3, 0] = 0.1
    (axes,) = dropout_sweep.plot_differences("", [row / 10 for row in range(10)], accuracies).axes
    bottom, top = axes.get_ylim()
    assert -100 <= bottom and 17 < top <= 100


def test_the_figure_by_epoch_shows_cost_and_gain_and_what_is_sure():
    rates = [0.0, 0.2, 0.9]
    means = np.array([[0.9, 0.97, 0.97], [0.895, 0.9702, 0.975], [0.5, 0.6, 0.7]])
    noise = np.random.default_rng(1).normal(scale=0.0005, size=[1, 9, 3, 3])
    accuracies = means + noise
    figure = dropout_sweep.plot_differences_by_epoch("", rates, accuracies)
    (axes,) = figure.axes
    _, _, line, open_markers, *_ = axes.lines
    comparisons = [dropout_sweep.compare_with_first(100 * accuracies[0, ..., e]) for e in range(3)]
    np.testing.assert_allclose(line.get_data(), [[1, 2, 3], [mean[1] for mean, _ in comparisons]])
    unsure = [e + 1 for e, (mean, half) in enumerate(comparisons) if abs(mean[1]) <= half[1]]
    assert open_markers.get_xdata().tolist() == unsure == [2]
    assert [text.get_text() for text in axes.texts] == ["further down: 0.9"]
    assert axes.get_ylim()[0] > -3
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["rate 0.0", "rate 0.2", "rate 0.9"] and not boxes_overlap(figure)


def test_the_tables_of_ten_rates_fit_a_terminal(digits, tmp_path, capsys):
    module = load(tmp_path, DATA_FILE=digits, EPOCHS=2)
    data = module.load_data()[1]
    rates = module.DROPOUT_RATES
    sweep = module.Sweep(module.build_networks(None, 0, rates, 784, 10), 0)
    history, final = module.train_sweep(sweep, rates, data, 1)
    heads, *rows = capsys.readouterr().out.splitlines()[-3:]
    ends = [[match.end() for match in re.finditer(r"\S+", line)] for line in (heads, *rows)]
    assert ends[0] == ends[1] == ends[2] and max(ends[0]) <= 80
    noise = np.random.default_rng(0).normal(scale=0.0005, size=[9, 10])
    final = np.repeat(final[None], 9, axis=0)
    final["val_accuracy"] += noise
    table = module.results_table(rates, np.repeat(history[None], 9, axis=0), final)
    assert max(map(len, table.splitlines())) <= 80


NAMES = [
    ([0.0, 0.1, 0.9], ["0.0", "0.1", "0.9"]),
    ([0.1 + 0.2, 0.25], ["0.3", "0.25"]),
    ([0.0, 0.00001], ["0.0", "1e-05"]),
    ([0.50001, 0.50002, 0.5], ["0.50001", "0.50002", "0.5"]),
    ([0.3, 0.1 + 0.2], ["0.3", "0.30000000000000004"]),
]


@pytest.mark.parametrize("rates, names", NAMES)
def test_names_tell_any_two_rates_apart(rates, names):
    assert dropout_sweep.name_rates(rates) == names


@pytest.mark.parametrize("kind, start", [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_in_another_format(kind, start, digits, tmp_path, monkeypatch):
    constants = {"DATA_FILE": digits, "DROPOUT_RATES": [0.5], "EPOCHS": 1, "FIGURE_FORMAT": kind}
    module = load(tmp_path, **constants, FIGURES_DIR=str(tmp_path / "figures"))
    module.main()
    files = contents(tmp_path)
    assert [content[:4] for name, content in files.items() if kind in name] == [start[:4]] * 6
    assert not any("png" in name for name in files)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")  # another day
    module.main()
    assert contents(tmp_path) == files


# Settings of other projects of the same user, each of which would change a number or end the run.
KERAS_JSON = '{"floatx": "float16", "epsilon": 0.1, "image_data_format": "channels_first"}'
MATPLOTLIBRC = """savefig.bbox: tight
savefig.dpi: 37
figure.autolayout: True
text.usetex: True
text.antialiased: False
lines.linewidth: 9
"""


def test_no_setting_outside_the_script_changes_a_byte(several, tmp_path):
    folder, _, constants, _, _ = several
    (tmp_path / "keras.json").write_text(KERAS_JSON)
    (tmp_path / "matplotlibrc").write_text(MATPLOTLIBRC)
    env = {"KERAS_HOME": str(tmp_path), "MATPLOTLIBRC": str(tmp_path)}
    assert run(tmp_path, env=env, **constants)[::2] == (0, "")
    assert contents(tmp_path) == contents(folder)


def test_drawn_digits_are_the_same_under_every_setting():
    arrays = dropout_sweep.draw_digits(500, 100)
    with matplotlib.rc_context({"savefig.bbox": "tight", "savefig.dpi": 37, "font.weight": "bold"}):
        for array, again in zip(arrays, dropout_sweep.draw_digits(500, 100), strict=True):
            np.testing.assert_array_equal(array, again)


@pytest.fixture
def silent_proxy():
    """The address of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_on_a_silent_network_digits_stand_in_for_mnist_alone(silent_proxy, tmp_path):
    home = str(tmp_path / "home")
    env = {"HOME": home, "KERAS_HOME": home, "https_proxy": silent_proxy, "no_proxy": ""}
    env["HTTPS_PROXY"] = silent_proxy
    soon = "socket.setdefaulttimeout(30)", "socket.setdefaulttimeout(1)"
    status, output, errors = run(tmp_path, soon, env=env, DATASET="cifar10")
    assert (status, len(errors.splitlines())) == (1, 1) and "epoch" not in output
    assert errors.startswith("DATASET is 'cifar10', but") and "DATA_FILE" in errors
    status, output, errors = run(tmp_path, soon, env=env, DROPOUT_RATES=[0.2, 0.9], EPOCHS=2)
    assert (status, errors) == (0, "")
    assert "mnist could not be downloaded" in output and "DATA_FILE" in output
    low, high = read(tmp_path, "drawn_digits_final", FINAL).values()
    assert 0.85 < low[2] < 0.999 and high[2] < low[2] - 0.02


@pytest.mark.parametrize("name, shape", [("fashion_mnist", [28, 28]), ("cifar10", [32, 32, 3])])
def test_other_sets_of_keras(name, shape, monkeypatch):
    labels = np.arange(9, dtype=np.uint8)[:, None]
    sets = [(np.full([9, *shape], pixel, np.uint8), labels) for pixel in (1, 2)]
    monkeypatch.setattr(getattr(keras.datasets, name), "load_data", lambda: sets)
    monkeypatch.setattr(dropout_sweep, "DATASET", name)
    found, (x_train, y_train, x_test, y_test) = dropout_sweep.load_data()
    assert (found, x_train.shape, x_test.shape) == (name, (9, np.prod(shape)), (9, np.prod(shape)))
    assert socket.getdefaulttimeout() is None
    assert (x_train == 1).all() and (x_test == 2).all()
    np.testing.assert_array_equal([y_train, y_test], [range(9), range(9)])


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
def test_the_default_sweep_on_mnist_gives_the_committed_numbers(tmp_path):
    status, _, errors = run(tmp_path, DATA_FILE=os.environ["MNIST_NPZ"], EPOCHS=2)
    assert (status, errors) == (0, "")
    committed = read(SCRIPT.parent, "mnist_history", HISTORY)  # of ten epochs
    for key, values in read(tmp_path, "mnist_history", HISTORY).items():
        np.testing.assert_allclose(values, committed[key], atol=0.004)  # on any processor
