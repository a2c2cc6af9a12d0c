"""What a chart shows, without how it is drawn: the page draws it as SVG, a paper's figure in matplotlib."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScaleKind = Literal["linear", "log", "log1p"]


@dataclass(frozen=True)
class Point:
    """A point of a curve, with a band where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """The points of one algorithm.

    Attributes:
        label: the algorithm.
        style: which colour, marker and dash it has: the same in every chart of a report.
        points: by rising x.
    """

    label: str
    style: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Attributes:
        label: what it measures, with the unit.
        scale: ``log1p`` is for numbers of steps, which begin at 0.
        percent: whether shares are shown as percents.
        ticks: where its ticks are; by default at round numbers.
    """

    label: str
    scale: ScaleKind = "linear"
    percent: bool = False
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A chart of curves or points.

    Attributes:
        name: the kind of the chart, unique in a section: ``pareto``.
        title: one line.
        summary: what it shows, in words: the text alternative.
        caption: how to read it, with what the bands are.
        x: the horizontal axis.
        y: the vertical axis.
        series: what is drawn.
        joined: whether the points of a series are joined by a line.
        front: points joined by a line of their own: the Pareto front.
    """

    name: str
    title: str
    summary: str
    caption: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    joined: bool = True
    front: tuple[Point, ...] = ()


def show(value: float | None, *, percent: bool = False) -> str:
    """A number as people read it.

    >>> show(0.98451, percent=True), show(1260000), show(0.0123456), show(None)
    ('98.45', '1,260,000', '0.01235', '')
    """
    if value is None:
        return ""
    if percent:
        return f"{100 * value:.2f}"
    if value == int(value) and abs(value) < 1e12:
        return f"{int(value):,}"
    return f"{value:.4g}"
