"""Draw figures for papers with matplotlib: one panel for each benchmark and chart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metabench.errors import NothingSelected, ResultsError, UsageError
from metabench.report.charts import CHARTS, figures_of
from metabench.report.data import BenchmarkResults
from metabench.report.layout import Layer, Layout, lay_out
from metabench.report.scales import Scale
from metabench.report.styles import COLOURS, Style
from metabench.report.values import shorten
from metabench.utils.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as MatplotlibFigure
    from matplotlib.lines import Line2D

SUFFIXES = (".svg", ".png", ".pdf")
_PANELS_ACROSS = 3
_PANEL_INCHES = (4.2, 3.2)
# Without dates the same figure has the same bytes.
_METADATA = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
_NEEDS = {
    "pareto": "records that are ok, with the metric `cost`",
    "adaptation": "the metric `adaptation`",
    "learning": "algorithms that meta-train",
    "robustness": "the metric `noise` or `adversarial`",
}


def plot(benchmarks: Sequence[BenchmarkResults], kind: str) -> MatplotlibFigure:
    """Draw one kind of chart for some benchmarks.

    Args:
        benchmarks: The results on each benchmark.
        kind: ``pareto``, ``adaptation``, ``learning`` or ``robustness``.

    Returns:
        A figure without a window. A notebook displays it, and ``savefig`` writes it.

    Raises:
        UsageError: If there is no such kind, or matplotlib is not installed.
        NothingSelected: If no record holds what the chart shows.
    """
    if kind not in CHARTS:
        raise UsageError(f"unknown plot '{kind}'.", hint=f"Choose one of {', '.join(CHARTS)}.")
    # Not pyplot: it would open windows, and keep every figure in memory.
    matplotlib_figure = _import_matplotlib()
    panels = [(results, figure) for results in benchmarks for figure in figures_of(results, kind)]
    if not panels:
        raise NothingSelected(
            f"no record holds what the plot '{kind}' shows.", hint=f"It needs {_NEEDS[kind]}."
        )
    columns = min(_PANELS_ACROSS, len(panels))
    rows = math.ceil(len(panels) / columns)
    paper: MatplotlibFigure = matplotlib_figure(
        figsize=(_PANEL_INCHES[0] * columns, _PANEL_INCHES[1] * rows + 0.5), layout="constrained"
    )
    lines: dict[str, Line2D] = {}
    for index, (results, figure) in enumerate(panels):
        axes = paper.add_subplot(rows, columns, index + 1)
        chart = f": {figure.name}" if len(panels) > len(benchmarks) else ""
        axes.set_title(_escape(f"{results.title}{chart}"), fontsize=10)
        lines |= _draw(axes, lay_out(figure))
    labels = sorted(lines)  # one legend for all panels, so by name and not by rank
    paper.legend(
        [lines[label] for label in labels],
        [_escape(shorten(label, 40)) for label in labels],
        loc="outside lower center",
        ncols=min(4, len(labels)),
        fontsize=8,
        frameon=False,
    )
    return paper


def check_file(path: Path) -> None:
    """Check the suffix of a file.

    Raises:
        UsageError: If plots are not written in this format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"'{path}' ends in '{path.suffix}'." if path.suffix else f"'{path}' has no suffix.",
            hint=f"A plot is written as {', '.join(SUFFIXES)}.",
        )


def save(paper: MatplotlibFigure, path: Path) -> None:
    """Write a figure atomically; the same figure gives the same bytes.

    Raises:
        UsageError: If plots are not written in the format of this suffix.
        ResultsError: If the file cannot be written.
    """
    check_file(path)
    import matplotlib as mpl

    suffix = path.suffix.lower()
    # A fixed salt makes the ids of an SVG file reproducible; type 42 embeds fonts as text, which
    # publishers require.
    settings: Any = {"svg.hashsalt": "metabench", "svg.fonttype": "path", "pdf.fonttype": 42}
    try:
        with atomic_path(path) as temporary, mpl.rc_context(settings):
            paper.savefig(temporary, format=suffix[1:], dpi=200, metadata=_METADATA[suffix])
    except OSError as error:
        raise ResultsError(f"'{path}' cannot be written: {error.strerror or error}.") from error


def _import_matplotlib() -> type[MatplotlibFigure]:
    try:
        from matplotlib.figure import Figure as MatplotlibFigure
    except ImportError as error:
        raise UsageError(
            "plots need matplotlib, which is not installed.", hint="pip install 'metabench[plot]'"
        ) from error
    return MatplotlibFigure


def _draw(axes: Axes, layout: Layout) -> dict[str, Line2D]:
    """Draw a layout, and return the line of each algorithm."""
    figure = layout.figure
    axes.set_xlabel(_escape(figure.x.label))
    axes.set_ylabel(_escape(figure.y.label))
    axes.grid(visible=True, lw=0.4, color="0.85")
    axes.set_axisbelow(True)  # the grid behind the curves
    _set_scale(axes, "x", layout.x)
    _set_scale(axes, "y", layout.y)
    if layout.front:
        x, y = [p.x for p in layout.front], [p.y for p in layout.front]
        axes.plot(x, y, ":", color="0.3", lw=1.2, zorder=1)
    return {
        layer.series.label: _draw_layer(axes, layer, joined=figure.joined)
        for layer in layout.layers
    }


def _draw_layer(axes: Axes, layer: Layer, *, joined: bool) -> Line2D:
    style = Style(layer.series.style)
    colour = COLOURS[style.colour][0]
    if layer.band:
        x, low, high = ([getattr(p, name) for p in layer.band] for name in ("x", "low", "high"))
        axes.fill_between(x, low, high, color=colour, alpha=0.15, lw=0)
    x, low, high = ([getattr(p, name) for p in layer.whiskers] for name in ("x", "low", "high"))
    axes.vlines(x, low, high, color=colour, lw=1)
    # matplotlib multiplies dashes by the line width, SVG does not; their ratios are the same.
    dashes: Any = (0, style.dashes) if style.dashes else "-"
    (line,) = axes.plot(
        [p.x for p in layer.markers],
        [p.y for p in layer.markers],
        color=colour,
        marker=style.marker.name,
        linestyle=dashes if joined else "none",
        markersize=5,
        lw=1.5,
    )
    return line


def _set_scale(axes: Axes, name: str, scale: Scale) -> None:
    import numpy as np

    set_scale: Any = axes.set_xscale if name == "x" else axes.set_yscale
    match scale.axis.scale:
        case "log":
            set_scale("log")
        case "log1p":
            set_scale("function", functions=(np.log1p, np.expm1))
    axis = axes.xaxis if name == "x" else axes.yaxis
    axis.set_ticks(scale.ticks, labels=scale.labels)
    axis.set_ticks([], minor=True)  # a logarithmic axis would label its minor ticks
    # Last: setting a scale or ticks may change the limits.
    axes.set(**{f"{name}lim": (scale.low, scale.high)})


def _escape(text: str) -> str:
    """Returns a text in which matplotlib finds no mathematics."""
    return text.replace("$", r"\$")
