"""The chart of the distribution of the episodes' scores, one row for each algorithm."""

from __future__ import annotations

from statistics import fmean

import numpy as np

from metabench.report.data import BenchmarkResults
from metabench.report.figure import Axis
from metabench.report.scales import scale_of
from metabench.report.styles import Style
from metabench.report.svg import Drawing, Group, Horizontal, Path, Table, Text, line, marker
from metabench.report.values import format_number, shorten
from metabench.utils.text import counted

WIDTH = 440.0
LEFT, RIGHT, TOP, BOTTOM, ROW = 112.0, 12.0, 6.0, 42.0, 34.0
_BINS = 40
_LONGEST_NAME = 13


def distributions(results: BenchmarkResults) -> Drawing | None:
    """Returns a histogram of the episodes' scores for each algorithm, if any has a score.

    The score of an episode is its mean over the seeds.
    """
    scores: dict[str, list[float]] = {}
    for row in results.rows:
        if ok := results.ok(row.algorithm):
            of_seeds = [r.metrics[results.metric].episodes for r in ok]
            scores[row.algorithm] = [
                fmean(of_episode) for of_episode in zip(*of_seeds, strict=True)
            ]
    if not scores:
        return None
    ends = [end for values in scores.values() for end in (min(values), max(values))]
    label = "accuracy of an episode (%)" if results.percent else f"{results.metric} of an episode"
    axis = Axis(label, percent=results.percent)
    x = Horizontal(scale_of(axis, ends), LEFT, WIDTH - RIGHT)
    height = TOP + ROW * len(scores) + 4 + BOTTOM
    groups = [Group(x.axis(TOP, height - BOTTOM))]
    rows = []
    for i, (name, values) in enumerate(scores.items()):
        quartiles = [float(q) for q in np.quantile(values, (0.25, 0.5, 0.75))]
        base = TOP + ROW * (i + 1) - 5
        groups.append(_row(name, Style(results.styles[name]), values, quartiles, x, base))
        numbers = (min(values), *quartiles, max(values), fmean(values))
        rows.append((name, *(format_number(v, percent=results.percent) for v in numbers)))
    best, low, middle, high = (rows[0][k] for k in (0, 2, 3, 4))
    return Drawing(
        "episodes",
        "Episodes: distribution of the scores",
        f"The distribution of the {label} for {counted(len(scores), 'algorithm')}. "
        f"Half of the episodes of {shorten(best, 40)} are between {low} and {high}, "
        f"the median is {middle}.",
        "A histogram of the episodes. The bar below it extends from the first to the third "
        "quartile, its gap is the median, and the marker is the mean.",
        WIDTH,
        height,
        tuple(groups),
        Table(
            ("algorithm", "minimum", "1st quartile", "median", "3rd quartile", "maximum", "mean"),
            tuple(rows),
        ),
    )


def _row(
    name: str,
    style: Style,
    values: list[float],
    quartiles: list[float],
    x: Horizontal,
    base: float,
) -> Group:
    # One range for all rows, so that the bars compare; each row has its own height.
    counts, edges = np.histogram(values, bins=_BINS, range=(x.scale.low, x.scale.high))
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
    halves = [(first, bar), (median - 1.5, bar)], [(median + 1.5, bar), (third, bar)]
    shapes: tuple[Path | Text, ...] = (
        Path(line(outline) + "Z", "histogram"),
        Path("".join(map(line, halves)), "bar"),
        marker(style, x(fmean(values)), bar, f"{name}: the mean"),
        Text(LEFT - 8, base - 4, shorten(name, _LONGEST_NAME), "name", "end"),
    )
    return Group(shapes, name, style)
