"""Charts of curves: adaptation and robustness."""

from __future__ import annotations

from metabench.report.curves import (
    CurveOf,
    adaptation_curve,
    flips_curve,
    over_seeds,
    radius_curve,
    severity_curve,
    shots_curve,
)
from metabench.report.data import BenchmarkResults
from metabench.report.figure import Axis, Figure, Series
from metabench.report.values import format_number, shorten
from metabench.utils.text import counted

SEED_BAND = "A band is the range over the seeds; one seed has none."
_MOST_SUMMARISED = 5
_LONGEST_NAME = 40


def adaptation(results: BenchmarkResults) -> Figure | None:
    """The score by inner steps."""
    steps = sorted({p.x for s in _series(results, adaptation_curve) for p in s.points})
    return _curves(
        results,
        "adaptation",
        adaptation_curve,
        Axis("inner steps", "log1p", ticks=tuple(steps)),
        _score_axis(results),
        title="Adaptation: score by inner steps",
        caption="A band is the 95 % interval over the episodes. A method without inner steps is "
        "one point.",
    )


def shots(results: BenchmarkResults) -> Figure | None:
    """The score by number of shots, on the same queries."""
    counts = sorted({p.x for s in _series(results, shots_curve) for p in s.points})
    label = "shots of each class" if results.benchmark.ways else "shots"
    return _curves(
        results,
        "shots",
        shots_curve,
        Axis(label, "log", ticks=tuple(counts)),
        _score_axis(results),
        title="Adaptation: score by shots",
        caption=f"The queries are the same for every number of shots. {SEED_BAND}",
    )


def corruptions(results: BenchmarkResults) -> Figure | None:
    """The score by severity of corruptions of the queries."""
    return _curves(
        results,
        "corruptions",
        severity_curve,
        Axis("severity", ticks=(0, 1, 2, 3, 4, 5)),  # whole numbers only
        _score_axis(results),
        title="Robustness: score by severity of corruptions",
        caption=f"The mean over all kinds of corruption of the queries; 0 is clean. {SEED_BAND}",
    )


def label_noise(results: BenchmarkResults) -> Figure | None:
    """The score by share of support labels that are wrong."""
    return _curves(
        results,
        "label-noise",
        flips_curve,
        Axis("flipped support labels (%)", percent=True),
        _score_axis(results),
        title="Robustness: score by wrong support labels",
        caption=f"Labels are flipped within the classes of the episode; 0 is clean. {SEED_BAND}",
    )


def attacks(results: BenchmarkResults) -> Figure | None:
    """The score by radius of the attack on the queries."""
    return _curves(
        results,
        "attacks",
        radius_curve,
        Axis("radius of the attack (L-inf)"),
        _score_axis(results),
        title="Robustness: score by radius of an attack",
        caption="PGD in an L-inf ball, or the Square attack if no gradient reaches the input; 0 is "
        f"clean. {SEED_BAND}",
    )


def _series(results: BenchmarkResults, curve_of: CurveOf) -> tuple[Series, ...]:
    """Returns a curve for each ranked algorithm that has one, best algorithm first."""
    found = []
    for row in results.rows:
        points = over_seeds([curve_of(record) for record in results.ok(row.algorithm)])
        if points:
            found.append(Series(row.algorithm, results.styles[row.algorithm], points))
    return tuple(found)


def _curves(
    results: BenchmarkResults,
    name: str,
    curve_of: CurveOf,
    x: Axis,
    y: Axis,
    *,
    title: str,
    caption: str,
) -> Figure | None:
    return curves_figure(name, _series(results, curve_of), x, y, title=title, caption=caption)


def curves_figure(
    name: str, series: tuple[Series, ...], x: Axis, y: Axis, *, title: str, caption: str
) -> Figure | None:
    """Returns a chart with a curve for each algorithm, if any has two points."""
    # Methods without inner steps alone make no curve.
    if not any(len(s.points) > 1 for s in series):
        return None
    return Figure(name, title, _summary(series, x, y), caption, x, y, series)


def _score_axis(results: BenchmarkResults) -> Axis:
    """Returns the axis of the scores within a metric, for which higher is better."""
    # The metrics of curves negate errors.
    if results.percent:
        return Axis("accuracy (%)", percent=True)
    return Axis("minus squared error" if results.metric == "mse" else "score")


def _summary(series: tuple[Series, ...], x: Axis, y: Axis) -> str:
    """Returns the first and the last point of the first curves, in words."""
    parts = []
    for s in series[:_MOST_SUMMARISED]:
        first, last = s.points[0], s.points[-1]
        name = shorten(s.label, _LONGEST_NAME)
        begin, end = (format_number(p.y, percent=y.percent) for p in (first, last))
        if len(s.points) == 1:
            parts.append(f"{name} is one point, {end}")
        else:
            at_first, at_last = (format_number(p.x, percent=x.percent) for p in (first, last))
            parts.append(f"{name} goes from {begin} at {at_first} to {end} at {at_last}")
    hidden = len(series) - _MOST_SUMMARISED
    more = f"; and {hidden} more" if hidden > 0 else ""
    return f"{y.label} by {x.label}, {counted(len(series), 'algorithm')}. {'; '.join(parts)}{more}."
