"""Curves over training or over a rate, as one PNG of panels."""

import math
from dataclasses import dataclass, field

import numpy as np

from vqv2.errors import InputError
from vqv2.files import atomic_write

# Okabe and Ito's colours, told apart with every common kind of colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ((0, (6, 3)), (0, (2, 2)), (0, (8, 2, 2, 2)))
INK = "#222222"
REFERENCE_INK = "#666666"
SMOOTHED_ABOVE = 200
MARKED_UP_TO = 12
PANEL_COLUMNS = 2
PANEL_INCHES = (5.2, 3.9)
DOTS_PER_INCH = 150
LEGEND_COLUMNS = 2
LEGEND_LINE_POINTS = 16
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "axes.edgecolor": "#888888",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.which": "major",
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "text.color": INK,
    "text.usetex": False,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.bbox": None,
}


@dataclass(frozen=True)
class Panel:
    """One set of axes: `series` maps a name to (x, y), two 1-D arrays of the same length.

    `references` maps a name to a constant y, drawn as a dashed line. `logarithmic` is about the
    y axis. With `bars`, y is drawn as a histogram, a bar as wide as the distance to the next x.
    A series of more than 200 points is drawn light, with its moving average on top, unless
    `smoothed` is false. Names, labels and the title are plain text; say the unit in `y_label`
    (nats, dB, ...).
    """

    title: str
    x_label: str
    y_label: str
    series: dict
    references: dict = field(default_factory=dict)
    logarithmic: bool = False
    bars: bool = False
    smoothed: bool = True


def save_curves(path, panels):
    """Draw every `Panel` of the list `panels` side by side, in rows, to the PNG `path`.

    NaN leaves a gap. Raises `InputError` when matplotlib is missing, when a panel cannot be drawn
    (x and y of different lengths, a logarithm of a value <= 0), and when `path` cannot be written.
    """
    matplotlib = require_matplotlib()
    panels = list(panels)
    if not panels:
        raise InputError("there are no curves to draw: give at least one panel")
    points = [_checked(panel) for panel in panels]
    with matplotlib.rc_context(STYLE):
        # A bare Figure, not pyplot's: it renders PNG with Agg and leaves no global state behind.
        figure = matplotlib.figure.Figure(layout="constrained")
        _draw_all(figure, panels, points)
        with atomic_write(path) as temporary:
            figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH)


def require_matplotlib():
    """The module, which draws; `InputError` saying how to get it when it is missing."""
    try:
        import matplotlib
        import matplotlib.figure
    except ImportError as error:
        raise InputError(
            f'drawing curves needs matplotlib ({error}): pip install "vqv2[demo]"'
        ) from None
    return matplotlib


def _checked(panel):
    points = {}
    for name, (x, y) in panel.series.items():
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if x.ndim != 1 or x.shape != y.shape:
            raise InputError(
                f"curve {name!r} of {panel.title!r} has x of shape {x.shape} and y of shape "
                f"{y.shape}: give two 1-D arrays of the same length"
            )
        points[name] = x, y
    values = [y for _, y in points.values()] + [np.array(list(panel.references.values()), float)]
    if panel.logarithmic and (np.concatenate(values) <= 0).any():
        raise InputError(
            f"{panel.title!r} has values that are 0 or less, which a logarithmic axis cannot "
            "show: set logarithmic=False"
        )
    return points


def _draw_all(figure, panels, points):
    column_count = min(len(panels), PANEL_COLUMNS)
    row_count = math.ceil(len(panels) / column_count)
    figure.set_size_inches(PANEL_INCHES[0] * column_count, PANEL_INCHES[1] * row_count)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    names = [[*panel.series, *panel.references] for panel in panels]
    # The same room for the legend in every panel, so that titles and axes line up.
    legend_lines = math.ceil(max(map(len, names)) / LEGEND_COLUMNS)
    for position, panel in enumerate(panels):
        axes = figure.add_subplot(row_count, column_count, position + 1)
        handles = _draw_data(axes, panel, points[position])
        _add_texts(axes, panel, legend_lines)
        _add_legend(axes, handles, names[position], legend_lines)


def _draw_data(axes, panel, points):
    if panel.logarithmic:
        axes.set_yscale("log")
    axes.margins(x=0.02)
    series = [
        _draw_series(axes, panel, x, y, PALETTE[position % len(PALETTE)])
        for position, (x, y) in enumerate(points.values())
    ]
    references = [
        axes.axhline(
            y, color=REFERENCE_INK, linewidth=1.4, linestyle=DASHES[position % len(DASHES)]
        )
        for position, y in enumerate(panel.references.values())
    ]
    return series + references


def _add_texts(axes, panel, legend_lines):
    axes.set_xlabel(panel.x_label, labelpad=5, parse_math=False)
    axes.set_ylabel(panel.y_label, labelpad=7, parse_math=False)
    axes.set_title(
        panel.title,
        loc="left",
        fontsize=13,
        fontweight="bold",
        pad=8 + legend_lines * LEGEND_LINE_POINTS,
        parse_math=False,
    )


def _draw_series(axes, panel, x, y, colour):
    if panel.bars:
        return _draw_bars(axes, x, y, colour)
    if panel.smoothed and len(y) > SMOOTHED_ABOVE:
        axes.plot(x, y, color=colour, linewidth=0.8, alpha=0.25)
        y = moving_average(y, len(y) // 40)
    marker = "o" if len(y) <= MARKED_UP_TO else None
    (line,) = axes.plot(x, y, color=colour, linewidth=2, marker=marker, markersize=5)
    return line


def _draw_bars(axes, x, y, colour):
    # Filled lightly and outlined, so that what lies behind is seen, too.
    width = x[1] - x[0] if len(x) > 1 else 1
    edges = np.append(x, x[-1:] + width) - width / 2
    axes.stairs(y, edges, fill=True, color=colour, alpha=0.25)
    return axes.stairs(y, edges, color=colour, linewidth=1.4)


def _add_legend(axes, handles, names, legend_lines):
    # Under the title and above the axes, where it hides no data.
    from matplotlib.transforms import offset_copy

    top = legend_lines * LEGEND_LINE_POINTS + 4
    legend = axes.legend(
        handles,
        names,
        loc="upper left",
        bbox_to_anchor=(0, 1),
        bbox_transform=offset_copy(axes.transAxes, axes.figure, y=top, units="points"),
        ncols=LEGEND_COLUMNS,
        frameon=False,
        borderpad=0.2,
        borderaxespad=0.2,
        handlelength=2.2,
        labelspacing=0.35,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def moving_average(values, width):
    """Mean over `width` neighbours (made odd) of the 1-D `values`, fewer at the ends."""
    window = np.ones(2 * (width // 2) + 1)
    counts = np.convolve(np.ones(len(values)), window, "same")
    return np.convolve(values, window, "same") / counts
