"""A chart as data, without any decision on how it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ScaleKind = Literal["linear", "log", "log1p"]


@dataclass(frozen=True)
class Point:
    """A point of a curve, with the ends of its interval if it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Series:
    """The points of one algorithm.

    Attributes:
        label: The algorithm.
        style: The number of its style, the same in every chart of a report.
        points: By increasing x.
    """

    label: str
    style: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        label: What it measures, with the unit.
        scale: How numbers are spaced; ``log1p`` is for numbers of steps, which begin at 0.
        percent: Whether shares are shown in percent.
        ticks: The numbers at its ticks; by default round numbers.
    """

    label: str
    scale: ScaleKind = "linear"
    percent: bool = False
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A chart of curves or points.

    Attributes:
        name: The kind of chart, unique in a benchmark: ``pareto``.
        title: One line.
        summary: The text alternative.
        caption: How to read it, with the meaning of the bands.
        x: The horizontal axis.
        y: The vertical axis.
        series: The series, best algorithm first.
        joined: Whether a line joins the points of a series.
        front: The points of the Pareto front, joined by a line.
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
