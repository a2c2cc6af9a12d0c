"""The curves that a record holds, and their mean over the seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Any

from metabench.records.schema import CurvePoint, Record
from metabench.report.figure import Point
from metabench.report.values import at, numbers, parse_number, thinned
from metabench.utils.finite import number

Curve = list[Point]
CurveOf = Callable[[Record], Curve]


def adaptation_curve(record: Record) -> Curve:
    """Returns the score by inner steps, with its 95 % interval over the episodes."""
    found = at(_values(record, "adaptation"), "curve")
    steps = numbers(at(found, "steps")) or [0.0]  # a method without inner steps has one point
    half_widths = numbers(at(found, "ci95"))
    scores = numbers(at(found, "score"))
    if len(half_widths) != len(scores):  # missing or malformed
        half_widths = [None] * len(scores)
    triples = zip(steps, scores, half_widths, strict=False)
    return _curve(
        Point(x, y, None if half is None else y - half, None if half is None else y + half)
        for x, y, half in triples
        if x is not None and x >= 0 and y is not None
    )


def shots_curve(record: Record) -> Curve:
    """Returns the score by number of shots."""
    found = at(_values(record, "adaptation"), "shots")
    pairs = zip(numbers(at(found, "shots")), numbers(at(found, "score")), strict=False)
    return _curve(Point(x, y) for x, y in pairs if x is not None and x >= 1 and y is not None)


def learning_curve(record: Record) -> Curve:
    """Returns the meta-validation score by examples drawn."""
    return _curve(
        Point(float(p.examples), p.score)
        for p in record.training.curve
        if number(p.score) is not None
    )


def with_cost(
    records: Sequence[Record], cost: Callable[[Record, CurvePoint], float | None]
) -> tuple[Point, ...]:
    """Returns the mean learning curve of some seeds by another cost than examples.

    Args:
        records: The records of one algorithm.
        cost: Returns the cost at a point of a record's learning curve, or ``None`` if it is
            unknown: then there is no curve.
    """
    # Seeds have the same numbers of examples and different seconds, so points are matched by
    # examples, and stand at the mean of their costs.
    costs: dict[float, list[float | None]] = {}
    for record in records:
        for reached in record.training.curve:
            costs.setdefault(float(reached.examples), []).append(cost(record, reached))
    pooled = []
    for point in over_seeds([learning_curve(record) for record in records]):
        known = [value for value in costs[point.x] if value is not None and value > 0]
        if len(known) < len(costs[point.x]):
            return ()
        pooled.append(replace(point, x=fmean(known)))
    return tuple(pooled)


def severity_curve(record: Record) -> Curve:
    """Returns the score by severity of the corruptions of the query, averaged over their kinds."""
    values = _values(record, "noise")
    kinds = at(values, "corruptions", "query")
    scores: dict[float, list[float]] = {}
    for rows in kinds.values() if isinstance(kinds, dict) else ():
        for row in rows if isinstance(rows, list) else ():
            severity, score = number(at(row, "severity")), number(at(row, "score"))
            if severity is not None and score is not None:
                scores.setdefault(severity, []).append(score)
    return _from_clean(values, {x: fmean(ys) for x, ys in scores.items()})


def flips_curve(record: Record) -> Curve:
    """Returns the score by share of flipped support labels."""
    values = _values(record, "noise")
    found = at(values, "label_noise")
    # Labels may be flipped with other shots than the benchmark's, which have a clean score of
    # their own.
    own = found if number(at(found, "clean")) is not None else values
    return _from_clean(own, _scores_by_number(found))


def radius_curve(record: Record) -> Curve:
    """Returns the score by radius of an L-inf attack: PGD, or Square without gradients."""
    values = _values(record, "adversarial")
    attacks = at(values, "attacks")
    for attack in ("pgd-linf-", "square-linf-"):
        named = {
            name.removeprefix(attack): found
            for name, found in (attacks.items() if isinstance(attacks, dict) else ())
            if name.startswith(attack)
        }
        if scores := _scores_by_number(named):
            return _from_clean(values, scores)
    return []


def over_seeds(curves: Sequence[Curve]) -> tuple[Point, ...]:
    """Returns the mean of the seeds' curves at every x that all of them have.

    The band is the mean of their intervals, or the range over the seeds if they have none.

    >>> over_seeds([[Point(0, 1.0)], [Point(0, 3.0), Point(1, 3.0)]])
    (Point(x=0, y=2.0, low=1.0, high=3.0),)
    """
    # A seed without a curve is left out; an x that one curve lacks would mix different seeds.
    by_x = [{point.x: point for point in curve} for curve in curves if curve]
    if not by_x:
        return ()
    shared = sorted(set.intersection(*map(set, by_x)))
    return tuple(_pooled([points[x] for points in by_x]) for x in shared)


def _pooled(points: list[Point]) -> Point:
    ys = [p.y for p in points]
    lows = [p.low for p in points if p.low is not None]
    highs = [p.high for p in points if p.high is not None]
    if len(lows) == len(highs) == len(points):
        return Point(points[0].x, fmean(ys), fmean(lows), fmean(highs))
    band = (min(ys), max(ys)) if len(ys) > 1 else (None, None)
    return Point(points[0].x, fmean(ys), *band)


def _values(record: Record, metric: str) -> dict[str, Any]:
    found = record.metrics.get(metric)
    return found.values if found is not None else {}


def _scores_by_number(found: object) -> dict[float, float]:
    """Returns the scores of an object whose keys are numbers."""
    scores = {}
    for key, summary in found.items() if isinstance(found, dict) else ():
        x, y = parse_number(key), number(at(summary, "score"))
        if x is not None and y is not None:
            scores[x] = y
    return scores


def _from_clean(values: dict[str, Any], scores: dict[float, float]) -> Curve:
    """Returns a curve that begins with the clean score at 0, if it has any other point."""
    clean = number(values.get("clean"))
    if scores and clean is not None:
        scores = {0.0: clean} | scores
    return _curve(Point(x, y) for x, y in scores.items() if x >= 0)


def _curve(points: Iterable[Point]) -> Curve:
    return thinned(sorted(points, key=lambda p: p.x))
