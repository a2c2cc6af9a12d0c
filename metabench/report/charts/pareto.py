"""Accuracy against milliseconds, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from metabench.report.facts import Section
from metabench.report.figure import Axis, Figure, Point, Series
from metabench.report.values import shorten
from metabench.utils.finite import number

_LONGEST = 40
_SHORTEST = 1e-9


def pareto(section: Section) -> Figure | None:
    """The score against the milliseconds that one episode takes: to adapt and to predict."""
    found = []
    for row in section.rows:
        score, ci95 = number(row.score), number(row.ci95)
        adapt, predict = number(row.adapt_ms), number(row.predict_ms)
        if score is None or adapt is None or predict is None or adapt + predict < _SHORTEST:
            continue
        band = (None, None) if ci95 is None else (score - ci95, score + ci95)
        point = Point(adapt + predict, score, *band)
        found.append(Series(row.algorithm, section.styles[row.algorithm], (point,)))
    if not found:
        return None
    front = pareto_front([s.points[0] for s in found], lower_is_better=section.lower_is_better)
    names = [shorten(s.label, _LONGEST) for p in front for s in found if s.points[0] is p]
    better = "below" if section.lower_is_better else "above"
    metric = "accuracy (%)" if section.percent else section.metric
    return Figure(
        "pareto",
        f"{'Accuracy' if section.percent else section.metric.upper()} against milliseconds",
        f"{metric} against milliseconds of one episode, {len(found)} algorithm(s). "
        f"From the fastest to the best, none is both faster and better than {', '.join(names)}.",
        "Milliseconds to adapt to one episode and to predict its queries; whiskers are 95 % intervals over "
        f"the episodes. The stairs are the Pareto front: none is known to be {better} and left of them.",
        Axis("milliseconds of one episode", "log"),
        Axis(metric, percent=section.percent),
        tuple(found),
        joined=False,
        front=tuple(_steps(front)),
    )


def _steps(front: Sequence[Point]) -> list[Point]:
    """The front as stairs: between two algorithms nobody is known to be better than the faster one."""
    corners = [(Point(after.x, before.y), after) for before, after in pairwise(front)]
    return [*front[:1], *(point for corner in corners for point in corner)]


def pareto_front(points: Sequence[Point], *, lower_is_better: bool = False) -> list[Point]:
    """The points that no other beats in both, by rising x.

    >>> [p.x for p in pareto_front([Point(1, 0.5), Point(2, 0.4), Point(3, 0.9)])]
    [1, 3]
    """
    sign = -1 if lower_is_better else 1
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, -sign * p.y)):
        if not front or sign * point.y > sign * front[-1].y:
            front.append(point)
    return front
