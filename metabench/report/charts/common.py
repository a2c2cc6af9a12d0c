"""What the charts of curves have in common."""

from __future__ import annotations

from metabench.report.curves import CurveOf, over_seeds
from metabench.report.facts import Section
from metabench.report.figure import Axis, Figure, Series, show
from metabench.report.values import shorten

BAND_OF_SEEDS = "A band is the range over the seeds; one seed has none."
_NAMED = 5
_LONGEST = 40


def series_of(section: Section, curve_of: CurveOf) -> tuple[Series, ...]:
    """One curve for each ranked algorithm that has any, the best algorithm first."""
    found = []
    for row in section.rows:
        points = over_seeds([curve_of(record) for record in section.well(row.algorithm)])
        if points:
            found.append(Series(row.algorithm, section.styles[row.algorithm], points))
    return tuple(found)


def curves(
    section: Section, name: str, curve_of: CurveOf, x: Axis, y: Axis, *, title: str, caption: str
) -> Figure | None:
    """A chart of one curve for each algorithm; nothing where no record has one of two points."""
    series = series_of(section, curve_of)
    if not any(len(s.points) > 1 for s in series):
        return None
    return Figure(name, title, _summary(series, x, y), caption, x, y, series)


def score_axis(section: Section) -> Axis:
    """The axis of the score that every family of metrics compares: higher is better."""
    if section.percent:
        return Axis("accuracy (%)", percent=True)
    return Axis("minus squared error" if section.metric == "mse" else "score")


def _summary(series: tuple[Series, ...], x: Axis, y: Axis) -> str:
    """The first and the last point of the first curves, in words."""
    parts = []
    for s in series[:_NAMED]:
        first, last = s.points[0], s.points[-1]
        name = shorten(s.label, _LONGEST)
        begin, end = (show(p.y, percent=y.percent) for p in (first, last))
        if len(s.points) == 1:
            parts.append(f"{name} is one point, {end}")
        else:
            at_first, at_last = (show(p.x, percent=x.percent) for p in (first, last))
            parts.append(f"{name} goes from {begin} at {at_first} to {end} at {at_last}")
    more = f"; and {len(series) - _NAMED} more" if len(series) > _NAMED else ""
    return f"{y.label} against {x.label}, {len(series)} algorithm(s). {'; '.join(parts)}{more}."
