"""The chart of the score against milliseconds, with the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from metabench.report.data import BenchmarkResults
from metabench.report.figure import Axis, Figure, Point, Series
from metabench.report.values import shorten
from metabench.utils.finite import number
from metabench.utils.text import counted

_LONGEST_NAME = 40
_LEAST_MS = 1e-9  # the axis is logarithmic, so it has no place for 0


def pareto(results: BenchmarkResults) -> Figure | None:
    """The score against the milliseconds of one episode."""
    found = []
    for row in results.rows:
        score, ci95 = number(row.score), number(row.ci95)
        adapt, predict = number(row.adapt_ms), number(row.predict_ms)
        if score is None or adapt is None or predict is None or adapt + predict < _LEAST_MS:
            continue
        interval = (None, None) if ci95 is None else (score - ci95, score + ci95)
        point = Point(adapt + predict, score, *interval)
        found.append(Series(row.algorithm, results.styles[row.algorithm], (point,)))
    if not found:
        return None
    front = pareto_front([s.points[0] for s in found], lower_is_better=results.lower_is_better)
    names = [shorten(s.label, _LONGEST_NAME) for p in front for s in found if s.points[0] is p]
    better = "below" if results.lower_is_better else "above"
    metric = "accuracy (%)" if results.percent else results.metric
    return Figure(
        "pareto",
        f"{'Accuracy' if results.percent else results.metric.upper()} against milliseconds",
        f"{metric} against milliseconds of one episode, {counted(len(found), 'algorithm')}. "
        f"On the Pareto front, from the fastest to the best: {', '.join(names)}.",
        "Milliseconds to adapt to one episode and to predict its queries. Whiskers are 95 % "
        "intervals over the episodes. The dotted line is the Pareto front: no algorithm is "
        f"{better} and left of it.",
        Axis("milliseconds of one episode", "log"),
        Axis(metric, percent=results.percent),
        tuple(found),
        joined=False,
        front=tuple(_steps(front)),
    )


def _steps(front: Sequence[Point]) -> list[Point]:
    """Returns the front as a step function: it states nothing between two algorithms."""
    corners = [(Point(after.x, before.y), after) for before, after in pairwise(front)]
    return [*front[:1], *(point for corner in corners for point in corner)]


def pareto_front(points: Sequence[Point], *, lower_is_better: bool = False) -> list[Point]:
    """Returns the points that no other point dominates, by increasing x.

    >>> [p.x for p in pareto_front([Point(1, 0.5), Point(2, 0.4), Point(3, 0.9)])]
    [1, 3]
    """
    # By increasing x, a point is on the front if it is better than all before it.
    sign = -1 if lower_is_better else 1
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.x, -sign * p.y)):
        if not front or sign * point.y > sign * front[-1].y:
            front.append(point)
    return front
