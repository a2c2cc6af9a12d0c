"""The critical-difference diagram: average ranks over benchmarks, and which of them differ."""

from __future__ import annotations

from collections.abc import Sequence

from metabench.report.drawing import Drawing, Group, Look, Path, Table, Text, line, place
from metabench.report.facts import Section
from metabench.report.values import shorten
from metabench.stats import FEWEST_BENCHMARKS, Friedman, friedman, tied_groups

WIDTH, SIDE, AXIS, ROW = 440.0, 128.0, 46.0, 20.0
_NAME = 12
_LEAST_ALGORITHMS = 3


def critical_difference(sections: Sequence[Section]) -> Drawing | str:
    """The diagram over the benchmarks that have every algorithm's score, or why there is none.

    Algorithms that lack a score on some benchmark are not part of it: ranks need a full table.

    Args:
        sections: the benchmarks.

    Reference: Demšar 2006, Statistical comparisons of classifiers over multiple data sets, JMLR 7.
    """
    tables = []
    for section in sections:
        sign = -1 if section.lower_is_better else 1
        scores = {row.algorithm: sign * row.score for row in section.rows if row.score is not None}
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
    return _draw(shared, found, len(tables), sections[0].styles)


def _draw(names: list[str], found: Friedman, benchmarks: int, styles: dict[str, int]) -> Drawing:
    order = sorted(range(len(names)), key=lambda i: (found.ranks[i], names[i]))
    groups_tied = (
        tied_groups(found.ranks, found.critical_difference) if found.p_value < 0.05 else []
    )
    bars_end = AXIS + 14 + 7 * len(groups_tied)
    half = (len(names) + 1) // 2
    height = bars_end + ROW * half + 16
    k = len(names)

    def x(rank: float) -> float:
        return SIDE + (WIDTH - 2 * SIDE) * (rank - 1) / (k - 1)

    axis: list[Path | Text] = [Path(line([(x(1), AXIS), (x(k), AXIS)]), "axis")]
    every = -(-k // 8)
    for rank in range(1, k + 1, every):
        axis += [
            Path(line([(x(rank), AXIS - 5), (x(rank), AXIS)]), "axis"),
            Text(x(rank), AXIS - 9, str(rank)),
        ]
    cd = min(found.critical_difference, k - 1.0)
    axis += [
        Path(line([(x(1), 14), (x(1 + cd), 14)]), "bar"),
        Text(x(1) - 6, 18, f"CD = {found.critical_difference:.2f}", "label", "end"),
    ]
    for i, tied in enumerate(groups_tied):
        y = AXIS + 10 + 7 * i
        best, worst = found.ranks[tied[0]], found.ranks[tied[-1]]
        axis.append(Path(line([(x(best) - 3, y), (x(worst) + 3, y)]), "bar"))
    groups = [Group(tuple(axis))]
    for place_in_order, i in enumerate(order):
        left = place_in_order < half
        row = place_in_order if left else k - 1 - place_in_order
        groups.append(
            _name(
                names[i],
                styles[names[i]],
                found.ranks[i],
                x(found.ranks[i]),
                bars_end + 8 + ROW * row,
                left,
            )
        )
    verdict = "they differ" if found.p_value < 0.05 else "no difference is shown"
    ranks = tuple((names[i], f"{found.ranks[i]:.2f}") for i in order)
    return Drawing(
        "ranks",
        "Average ranks over the benchmarks",
        f"Average ranks of {k} algorithms over {benchmarks} benchmarks: "
        + ", ".join(f"{shorten(name, 40)} {rank}" for name, rank in ranks)
        + f". Friedman's test: p = {found.p_value:.3g}, {verdict}; "
        + f"critical difference {found.critical_difference:.2f}.",
        "1 is the best rank. Where Friedman's test shows a difference, a bar joins algorithms that the "
        "critical difference (Nemenyi) does not tell apart.",
        WIDTH,
        height,
        tuple(groups),
        Table(("algorithm", "average rank"), ranks),
    )


def _name(name: str, style: int, rank: float, at: float, y: float, left: bool) -> Group:
    end = SIDE - 6 if left else WIDTH - SIDE + 6
    look = Look(style)
    text = f"{shorten(name, _NAME)} {rank:.2f}" if left else f"{rank:.2f} {shorten(name, _NAME)}"
    shapes: tuple[Path | Text, ...] = (
        Path(line([(at, AXIS), (at, y), (end, y)]), "leader"),
        Path(
            look.marker(), "marker", move=f"{place(at)} {place(AXIS)}", note=f"{name}: {rank:.2f}"
        ),
        Text(end - 4 if left else end + 4, y + 4, text, "name", "end" if left else "start"),
    )
    return Group(shapes, name, look)
