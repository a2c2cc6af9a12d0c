"""The critical-difference diagram: average ranks over benchmarks, and which of them differ."""

from __future__ import annotations

from collections.abc import Sequence

from metabench.report.data import BenchmarkResults
from metabench.report.styles import Style
from metabench.report.svg import Drawing, Group, Path, Table, Text, line, marker
from metabench.report.values import shorten
from metabench.stats import FEWEST_BENCHMARKS, Friedman, friedman, tied_groups

WIDTH, SIDE, AXIS, ROW = 440.0, 128.0, 46.0, 20.0
_LONGEST_NAME = 12
_LEAST_ALGORITHMS = 3
_LEVEL = 0.05


def critical_difference(benchmarks: Sequence[BenchmarkResults]) -> Drawing | str:
    """Returns the diagram, or why there is none.

    It shows the algorithms that have a score on all benchmarks: ranks need a complete table.

    Args:
        benchmarks: The results on each benchmark.

    Reference: Demšar 2006, Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    tables = []
    for results in benchmarks:
        sign = -1 if results.lower_is_better else 1  # friedman ranks the highest first
        scores = {row.algorithm: sign * row.score for row in results.rows if row.score is not None}
        if scores:
            tables.append(scores)
    shared = sorted(set.intersection(*map(set, tables))) if tables else []
    if len(tables) < FEWEST_BENCHMARKS or len(shared) < _LEAST_ALGORITHMS:
        return (
            f"Average ranks and their critical difference need {FEWEST_BENCHMARKS} benchmarks and "
            f"{_LEAST_ALGORITHMS} algorithms with a score on all of them. "
            f"There are {len(tables)} and {len(shared)}."
        )
    found = friedman([[scores[name] for name in shared] for scores in tables])
    return _draw(shared, found, len(tables), benchmarks[0].styles)


def _draw(names: list[str], found: Friedman, benchmarks: int, styles: dict[str, int]) -> Drawing:
    order = sorted(range(len(names)), key=lambda i: (found.ranks[i], names[i]))
    significant = found.p_value < _LEVEL
    tied = tied_groups(found.ranks, found.critical_difference) if significant else []
    k = len(names)
    half = (k + 1) // 2  # the better half is labelled on the left, the others on the right
    labels_top = AXIS + 14 + 7 * len(tied)

    def x(rank: float) -> float:
        return SIDE + (WIDTH - 2 * SIDE) * (rank - 1) / (k - 1)

    frame = _axis(k, x(1), x(k), found.critical_difference)
    for i, members in enumerate(tied):
        y = AXIS + 10 + 7 * i
        best, worst = found.ranks[members[0]], found.ranks[members[-1]]
        frame.append(Path(line([(x(best) - 3, y), (x(worst) + 3, y)]), "bar"))
    groups = [Group(frame)]
    for position, i in enumerate(order):
        left = position < half
        row = position if left else k - 1 - position
        style, rank = Style(styles[names[i]]), found.ranks[i]
        groups.append(_name(names[i], style, rank, x(rank), labels_top + 8 + ROW * row, left))
    verdict = "the ranks differ" if significant else "no difference is shown"
    ranks = tuple((names[i], f"{found.ranks[i]:.2f}") for i in order)
    return Drawing(
        "ranks",
        "Average ranks over the benchmarks",
        f"Average ranks of {k} algorithms over {benchmarks} benchmarks: "
        + ", ".join(f"{shorten(name, 40)} {rank}" for name, rank in ranks)
        + f". Friedman's test: p = {found.p_value:.3g}, {verdict}; "
        + f"critical difference {found.critical_difference:.2f}.",
        "1 is the best rank. If Friedman's test shows a difference, a bar joins algorithms whose "
        "ranks differ by less than the critical difference (Nemenyi).",
        WIDTH,
        labels_top + ROW * half + 16,
        tuple(groups),
        Table(("algorithm", "average rank"), ranks),
    )


def _axis(k: int, first: float, last: float, critical: float) -> list[Path | Text]:
    """Returns the axis of the ranks 1 to k, with the critical difference above it."""
    unit = (last - first) / (k - 1)
    shapes: list[Path | Text] = [Path(line([(first, AXIS), (last, AXIS)]), "axis")]
    for rank in range(1, k + 1, -(-k // 8)):  # at most eight ticks
        x = first + unit * (rank - 1)
        shapes.append(Path(line([(x, AXIS - 5), (x, AXIS)]), "axis"))
        shapes.append(Text(x, AXIS - 9, str(rank)))
    end = first + unit * min(critical, k - 1.0)
    shapes.append(Path(line([(first, 14), (end, 14)]), "bar"))
    shapes.append(Text(first - 6, 18, f"CD = {critical:.2f}", "label", "end"))
    return shapes


def _name(name: str, style: Style, rank: float, x: float, y: float, left: bool) -> Group:
    end = SIDE - 6 if left else WIDTH - SIDE + 6
    short = shorten(name, _LONGEST_NAME)
    text = f"{short} {rank:.2f}" if left else f"{rank:.2f} {short}"
    shapes: tuple[Path | Text, ...] = (
        Path(line([(x, AXIS), (x, y), (end, y)]), "leader"),
        marker(style, x, AXIS, f"{name}: {rank:.2f}"),
        Text(end - 4 if left else end + 4, y + 4, text, "name", "end" if left else "start"),
    )
    return Group(shapes, name, style)
