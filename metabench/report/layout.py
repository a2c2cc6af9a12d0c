"""Lay out a figure: scales, limits and layers, the same for the page and for a paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from metabench.report.figure import Figure, Point, Series
from metabench.report.scales import Scale, scale_of

# An error that diverged during adaptation is 1e6 times the others: without a limit the axis
# would show nothing else. Curves that merely are bad stay within some interquartile ranges.
_FARTHEST = 20.0


@dataclass(frozen=True)
class Layer:
    """The marks of one series, back to front.

    Attributes:
        series: The series.
        band: The points of a filled band from ``low`` to ``high``.
        whiskers: The points with a line from ``low`` to ``high``.
        line: The points that a line joins.
        markers: The points with a marker.
    """

    series: Series
    band: tuple[Point, ...]
    whiskers: tuple[Point, ...]
    line: tuple[Point, ...]
    markers: tuple[Point, ...]


@dataclass(frozen=True)
class Layout:
    """A figure that is ready to be drawn.

    Attributes:
        figure: The figure.
        x: The horizontal scale.
        y: The vertical scale.
        layers: Back to front: the best algorithm last.
        front: The Pareto front, behind the layers.
        outside: The number of points beyond the ends of ``y``, which are not drawn.
    """

    figure: Figure
    x: Scale
    y: Scale
    layers: tuple[Layer, ...]
    front: tuple[Point, ...]
    outside: int


def lay_out(figure: Figure) -> Layout:
    """Lay out a figure with at least one point."""
    points = [p for s in figure.series for p in s.points]
    y = scale_of(figure.y, _shown_values(figure, points))
    return Layout(
        figure,
        scale_of(figure.x, [p.x for p in points]),
        y,
        # Reversed: the best algorithm is drawn over the others.
        tuple(_layer(series, figure) for series in reversed(figure.series)),
        figure.front if len(figure.front) > 1 else (),
        sum(not y.low <= p.y <= y.high for p in points),
    )


def _layer(series: Series, figure: Figure) -> Layer:
    intervals = tuple(p for p in series.points if p.low is not None and p.high is not None)
    banded = figure.joined and len(intervals) > 1  # a band of one point has no area
    return Layer(
        series,
        intervals if banded else (),
        () if banded else intervals,
        series.points if figure.joined and len(series.points) > 1 else (),
        series.points,
    )


def _shown_values(figure: Figure, points: Sequence[Point]) -> list[float]:
    """Returns the values that the vertical axis must cover: all but those that diverged."""
    values = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    first, median, third = np.quantile([p.y for p in points], (0.25, 0.5, 0.75)).tolist()
    reach = _FARTHEST * (third - first)
    # A percentage cannot diverge; equal curves have no range to measure a distance with.
    if figure.y.percent or not reach:
        return values
    return [v for v in values if abs(v - median) <= reach]
