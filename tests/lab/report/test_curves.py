"""Curves show every series, smooth the long ones, and touch no global state."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vqv2.errors import InputError
from vqv2.lab.report import Panel, save_curves
from vqv2.lab.report.curves import moving_average


@pytest.fixture
def path(tmp_path):
    return tmp_path / "curves.png"


@pytest.fixture
def figures(monkeypatch):
    """The figures that were saved, to look into."""
    figure_module = pytest.importorskip("matplotlib.figure")
    saved = []
    save = figure_module.Figure.savefig

    def recorded(figure, *arguments, **keywords):
        saved.append(figure)
        save(figure, *arguments, **keywords)

    monkeypatch.setattr(figure_module.Figure, "savefig", recorded)
    return saved


def panel(count=20, **changes):
    x = np.arange(count)
    settings = {
        "title": "Loss",
        "x_label": "step",
        "y_label": "nats",
        "series": {"train": (x, x + 1.0), "validation": (x, x + 2.0)},
    }
    return Panel(**{**settings, **changes})


def test_a_picture_is_written_that_grows_with_the_panels(path, figures):
    sizes = []
    for count in (1, 2, 4):
        save_curves(path, [panel()] * count)
        with Image.open(path) as image:
            assert image.format == "PNG"
            sizes.append(image.size)
    assert sizes[1][0] == 2 * sizes[0][0]
    assert sizes[2] == (sizes[1][0], 2 * sizes[1][1])
    assert [len(figure.axes) for figure in figures] == [1, 2, 4]
    assert {axes.get_yscale() for figure in figures for axes in figure.axes} == {"linear"}


def test_series_and_references_are_drawn_and_named(path, figures):
    save_curves(path, [panel(references={"unigram": 9.5}, logarithmic=True)])
    (axes,) = figures[0].axes
    train, validation, unigram = axes.get_lines()
    np.testing.assert_array_equal(train.get_ydata(), np.arange(20) + 1.0)
    np.testing.assert_array_equal(validation.get_ydata(), np.arange(20) + 2.0)
    assert set(unigram.get_ydata()) == {9.5}
    assert unigram.is_dashed()
    assert train.get_color() != validation.get_color()
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["train", "validation", "unigram"]
    assert axes.get_title(loc="left") == "Loss"
    assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()) == ("step", "nats", "log")


@pytest.mark.parametrize(("count", "lines"), [(200, 1), (201, 2)])
def test_only_a_long_series_gets_a_smoothed_one_on_top(path, figures, count, lines):
    x = np.arange(count)
    noisy = np.where(x % 2, 1.0, -1.0)
    save_curves(path, [panel(series={"noise": (x, noisy)})])
    drawn = figures[0].axes[0].get_lines()
    assert len(drawn) == lines
    np.testing.assert_array_equal(drawn[0].get_ydata(), noisy)
    if lines == 2:
        assert np.abs(drawn[1].get_ydata()).max() < 0.5
        assert drawn[0].get_alpha() < 0.5


def test_the_legend_and_the_title_lie_outside_the_curves_and_inside_the_picture(path, figures):
    many = {f"series {number}": ([0, 1], [0, number]) for number in range(7)}
    save_curves(path, [panel(series=many)])
    (axes,) = figures[0].axes
    legend = axes.get_legend().get_window_extent()
    title = axes._left_title.get_window_extent()
    assert legend.y0 >= axes.get_window_extent().y1
    assert title.y0 >= legend.y1 - 6
    assert title.y1 <= figures[0].bbox.y1


def test_moving_average_is_the_mean_of_the_neighbours_there_are():
    averaged = moving_average(np.array([0.0, 3.0, 6.0, 0.0]), 3)
    np.testing.assert_allclose(averaged, [1.5, 3.0, 3.0, 3.0])
    np.testing.assert_allclose(moving_average(np.full(50, 2.0), 8), 2.0)


def test_dollars_are_text_and_gaps_and_empty_panels_are_drawn(path):
    pytest.importorskip("matplotlib")
    gaps = np.where(np.arange(300) % 50 == 0, np.nan, 1.0)
    odd = panel(title="$\\no$", x_label="$\\no$", series={"$\\no$": (np.arange(300), gaps)})
    save_curves(path, [odd, panel(series={}), panel(series={"none": ([], [])}, logarithmic=True)])
    assert path.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"series": {"train": ([0, 1], [1.0])}}, "'train' of 'Loss' .*same length"),
        ({"series": {"train": ([[0]], [[1.0]])}}, "'train' of 'Loss' .*1-D"),
        ({"series": {"train": ([0], [0.0])}, "logarithmic": True}, "'Loss' .*logarithmic"),
        ({"references": {"zero": 0.0}, "logarithmic": True}, "'Loss' .*logarithmic"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_refused(path, changes, message):
    pytest.importorskip("matplotlib")
    path.write_text("former")
    with pytest.raises(InputError, match=message):
        save_curves(path, [panel(), panel(**changes)])
    assert path.read_text() == "former"


def test_no_panels_are_refused(path):
    pytest.importorskip("matplotlib")
    with pytest.raises(InputError, match="at least one panel"):
        save_curves(path, [])


def test_without_matplotlib_one_is_told_what_to_install(path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r'pip install "vqv2\[demo\]"'):
        save_curves(path, [panel()])


def test_a_path_that_cannot_be_written_is_named(tmp_path):
    pytest.importorskip("matplotlib")
    (tmp_path / "file").write_text("former")
    with pytest.raises(InputError, match="cannot write .*curves.png"):
        save_curves(tmp_path / "file" / "curves.png", [panel()])


def test_importing_is_light_and_drawing_leaves_pyplot_and_settings_alone(path):
    pytest.importorskip("matplotlib")
    program = f"""
import sys
from vqv2.lab.report import Panel, save_curves
assert "matplotlib" not in sys.modules
import matplotlib
def settings():  # but not "backend", since looking it up imports pyplot
    return {{name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}}
before = settings()
save_curves({str(path)!r}, [Panel("a", "b", "c", {{"d": ([0, 1], [1, 2])}})])
assert "matplotlib.pyplot" not in sys.modules
assert settings() == before
"""
    subprocess.run([sys.executable, "-c", program], check=True)
