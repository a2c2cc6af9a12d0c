"""Figures for papers, in matplotlib: the same data as on the page, one panel for each benchmark and chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metabench.errors import NothingSelected, ResultsError, UsageError
from metabench.report.charts import CHARTS, figures_of
from metabench.report.facts import Section
from metabench.report.figure import Axis, Figure, Series
from metabench.report.scales import scale_of, tick_text
from metabench.report.values import shorten
from metabench.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Paper

ENDINGS = (".svg", ".png", ".pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, in the order of the page."""

MARKERS = ("o", "s", "^", "D", "v", "+", "x", "*")
DASHES: tuple[Any, ...] = ("-", (0, (6, 3)), (0, (2, 3)), (0, (8, 3, 2, 3)), (0, (10, 4)))
_ACROSS = 3
_PANEL = (4.2, 3.2)
_NO_DATE = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}


def plot(sections: Sequence[Section], kind: str) -> Paper:
    """Draw one kind of chart for some benchmarks.

    Args:
        sections: the benchmarks.
        kind: ``pareto``, ``adaptation``, ``learning`` or ``robustness``.

    Returns:
        A figure that belongs to no window; it shows itself in a notebook, and ``savefig`` writes it.

    Raises:
        UsageError: there is no such kind, or matplotlib is not installed.
        NothingSelected: no record holds what the chart shows.
    """
    if kind not in CHARTS:
        raise UsageError(f"there is no plot '{kind}'.", hint=f"There are {', '.join(CHARTS)}.")
    paper_of = _matplotlib()
    panels = [(section, figure) for section in sections for figure in figures_of(section, kind)]
    if not panels:
        raise NothingSelected(
            f"no record holds what the plot '{kind}' shows.", hint=f"It needs {_NEEDS[kind]}."
        )
    across = min(_ACROSS, len(panels))
    down = math.ceil(len(panels) / across)
    paper: Paper = paper_of(
        figsize=(_PANEL[0] * across, _PANEL[1] * down + 0.5), layout="constrained"
    )
    found: dict[str, Any] = {}
    for index, (section, figure) in enumerate(panels):
        axes = paper.add_subplot(down, across, index + 1)
        what = f": {figure.name}" if len(panels) > len(sections) else ""
        axes.set_title(_plain(f"{section.title}{what}"), fontsize=10)
        for series in reversed(figure.series):
            found[series.label] = _draw(axes, series, figure)
        if len(figure.front) > 1:
            axes.plot(
                [p.x for p in figure.front],
                [p.y for p in figure.front],
                ":",
                color="0.3",
                lw=1.2,
                zorder=1,
            )
        _lay_out(axes, figure)
    labels = sorted(found)
    paper.legend(
        [found[label] for label in labels],
        [_plain(shorten(label, 40)) for label in labels],
        loc="outside lower center",
        ncols=min(4, len(labels)),
        fontsize=8,
        frameon=False,
    )
    return paper


_NEEDS = {
    "pareto": "records that ended well, with the metric `cost`",
    "adaptation": "the metric `adaptation`",
    "learning": "algorithms that meta-train",
    "robustness": "the metric `noise` or `adversarial`",
}


def check_file(path: Path) -> None:
    """Raise UsageError where a file's ending is none that a plot can be written as."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(
            f"'{path}' ends in '{path.suffix}'." if path.suffix else f"'{path}' has no ending.",
            hint=f"A plot is written as {', '.join(ENDINGS)}.",
        )


def save(paper: Paper, path: Path) -> None:
    """Write a figure, whole or not at all; the same figure gives the same bytes.

    Raises:
        UsageError: the ending is none that a plot can be written as.
        ResultsError: the file cannot be written.
    """
    check_file(path)
    import matplotlib

    ending = path.suffix.lower()
    settings: Any = {"svg.hashsalt": "metabench", "svg.fonttype": "path", "pdf.fonttype": 42}
    try:
        with atomic_path(path) as temporary, matplotlib.rc_context(settings):
            paper.savefig(temporary, format=ending[1:], dpi=200, metadata=_NO_DATE[ending])
    except OSError as error:
        raise ResultsError(f"'{path}' cannot be written: {error.strerror or error}.") from error


def _matplotlib() -> type[Paper]:
    try:
        from matplotlib.figure import Figure as PaperFigure
    except ImportError as error:
        raise UsageError(
            "plots need matplotlib, which is not installed.", hint="pip install 'metabench[plot]'"
        ) from error
    return PaperFigure


def _draw(axes: Axes, series: Series, figure: Figure) -> Any:
    colour = COLOURS[series.style % len(COLOURS)]
    x, y = [p.x for p in series.points], [p.y for p in series.points]
    dash = DASHES[series.style % len(DASHES)] if figure.joined else "none"
    marker = MARKERS[series.style % len(MARKERS)]
    (drawn,) = axes.plot(x, y, color=colour, marker=marker, linestyle=dash, markersize=5, lw=1.5)
    bands = [
        (p.x, p.y, p.low, p.high) for p in series.points if p.low is not None and p.high is not None
    ]
    if bands and figure.joined and len(bands) > 1:
        places, _, lows, highs = zip(*bands, strict=True)
        axes.fill_between(places, lows, highs, color=colour, alpha=0.15, lw=0)
    else:
        for at, middle, low, high in bands:
            axes.errorbar([at], [middle], [[middle - low], [high - middle]], color=colour, lw=1)
    return drawn


def _lay_out(axes: Axes, figure: Figure) -> None:
    axes.set_xlabel(_plain(figure.x.label))
    axes.set_ylabel(_plain(figure.y.label))
    axes.grid(visible=True, lw=0.4, color="0.85")
    axes.set_axisbelow(True)
    _scale(axes, figure)
    _format(axes.xaxis, figure.x)
    _format(axes.yaxis, figure.y)


def _scale(axes: Axes, figure: Figure) -> None:
    import numpy as np

    if figure.x.scale == "log":
        laid = scale_of(figure.x, [p.x for s in figure.series for p in s.points], 0, 1)
        axes.set_xscale("log")
        axes.set_xlim(laid.low, laid.high)
        axes.xaxis.set_ticks(laid.ticks)
        axes.xaxis.set_ticks([], minor=True)
    elif figure.x.scale == "log1p":
        axes.set_xscale("function", functions=(np.log1p, np.expm1))


def _format(of: Any, axis: Axis) -> None:
    if axis.ticks:
        of.set_ticks(list(axis.ticks))
        of.set_ticks([], minor=True)
    of.set_major_formatter(lambda value, at: tick_text(value, percent=axis.percent))


def _plain(text: str) -> str:
    """A text whose dollar signs are no mathematics."""
    return text.replace("$", r"\$")
