"""The scores of the episodes, one row for each algorithm: what a mean does not show."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from metabench.report.drawing import Drawing, Group, Look, Path, Table, Text, line, place
from metabench.report.facts import Section
from metabench.report.figure import Axis, show
from metabench.report.scales import Scale, scale_of, tick_text
from metabench.report.values import shorten

WIDTH = 440.0
LEFT, RIGHT, TOP, BOTTOM, ROW = 112.0, 12.0, 6.0, 46.0, 34.0
_BINS = 40
_NAME = 13


def distributions(section: Section) -> Drawing | None:
    """A histogram of the episodes' scores for each algorithm, with the quartiles and the mean.

    The score of an episode is its mean over the seeds. Nothing where no algorithm has a score.
    """
    scores: dict[str, list[float]] = {}
    for row in section.rows:
        if well := section.well(row.algorithm):
            of_seeds = [r.metrics[section.metric].episodes for r in well]
            scores[row.algorithm] = [
                fmean(of_episode) for of_episode in zip(*of_seeds, strict=True)
            ]
    if not scores:
        return None
    height = TOP + ROW * len(scores) + BOTTOM
    ends = [end for values in scores.values() for end in (min(values), max(values))]
    label = "accuracy of an episode (%)" if section.percent else f"{section.metric} of an episode"
    x = scale_of(Axis(label, percent=section.percent), ends, LEFT, WIDTH - RIGHT)
    groups = [_axis(x, height)]
    rows = []
    for i, (name, values) in enumerate(scores.items()):
        base = TOP + ROW * (i + 1) - 5
        quartiles = [float(q) for q in np.quantile(values, (0.25, 0.5, 0.75))]
        groups.append(_row(name, section.styles[name], values, quartiles, x, base))
        numbers = (min(values), *quartiles, max(values), fmean(values))
        rows.append((name, *(show(v, percent=section.percent) for v in numbers)))
    best = next(iter(scores))
    low, middle, high = (rows[0][k] for k in (2, 3, 4))
    return Drawing(
        "episodes",
        "Episodes: how the scores are spread",
        f"The distribution of the {label} for {len(scores)} algorithm(s). Half of the episodes of "
        f"{shorten(best, 40)} are between {low} and {high}, the median is {middle}.",
        "A histogram of the episodes. The bar below it runs from the first to the third quartile, its gap is "
        "the median, and the marker is the mean.",
        WIDTH,
        height,
        tuple(groups),
        Table(
            ("algorithm", "least", "1st quartile", "median", "3rd quartile", "most", "mean"),
            tuple(rows),
        ),
    )


def _axis(x: Scale, height: float) -> Group:
    bottom = height - BOTTOM + 4
    shapes: list[Path | Text] = []
    for tick in x.ticks:
        shapes.append(Path(line([(x(tick), TOP), (x(tick), bottom)]), "grid"))
        shapes.append(Text(x(tick), bottom + 16, tick_text(tick, percent=x.axis.percent)))
    shapes.append(Path(line([(LEFT, bottom), (WIDTH - RIGHT, bottom)]), "axis"))
    shapes.append(Text((LEFT + WIDTH - RIGHT) / 2, height - 8, x.axis.label, "label"))
    return Group(tuple(shapes))


def _row(
    name: str, style: int, values: list[float], quartiles: list[float], x: Scale, base: float
) -> Group:
    look = Look(style)
    counts, edges = np.histogram(values, bins=_BINS, range=(x.low, x.high))
    top = max(int(counts.max()), 1)
    outline = [(x.start, base)]
    for count, left, right in zip(
        counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True
    ):
        y = base - (ROW - 12) * count / top
        outline += [(x(left), y), (x(right), y)]
    outline.append((x.end, base))
    first, median, third = map(x, quartiles)
    bar = base + 3
    shapes: tuple[Path | Text, ...] = (
        Path(line(outline) + "Z", "hill"),
        Path(
            f"{line([(first, bar), (median - 1.5, bar)])}{line([(median + 1.5, bar), (third, bar)])}",
            "bar",
        ),
        Path(
            look.marker(),
            "marker",
            move=f"{place(x(fmean(values)))} {place(bar)}",
            note=f"{name}: the mean",
        ),
        Text(LEFT - 8, base - 4, shorten(name, _NAME), "name", "end"),
    )
    return Group(shapes, name, look)
