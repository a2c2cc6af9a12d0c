"""Build a leaderboard from stored records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import pandas as pd

from metabench.leaderboard.aggregate import AggregateRow, aggregate
from metabench.leaderboard.extras import extra_values
from metabench.leaderboard.ranks import ScoredRow, rank_rows
from metabench.leaderboard.render import Format, render_rows, to_frame
from metabench.leaderboard.rows import LeaderboardRow, make_row
from metabench.leaderboard.scores import check_metric
from metabench.records.comparability import reference_record
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection


@dataclass(frozen=True)
class Leaderboard:
    """Ranked rows, with the records that they were made from.

    Attributes:
        rows: By benchmark, best first, rows without a score last.
        selection: The records of the rows, and those that were left out.
        scored: The rows with their scores, in any order; none of ``--quick`` runs.
    """

    rows: list[LeaderboardRow]
    selection: RecordSelection
    scored: Sequence[ScoredRow] = field(default=(), repr=False)

    @property
    def left_out(self) -> list[str]:
        """What was left out, in words."""
        return self.selection.messages

    @property
    def rejected(self) -> list[str]:
        """The records that are invalid, or inconsistent with the majority, in words."""
        return self.selection.rejected

    @cached_property
    def aggregate(self) -> list[AggregateRow]:
        """The algorithms over all benchmarks; none if they share fewer than two."""
        return aggregate(self.scored)

    def to_frame(self) -> pd.DataFrame:
        """Returns one row for each row of the leaderboard."""
        return to_frame(self.rows)

    def render(self, form: Format, columns: Sequence[str] = ()) -> str:
        """Returns the leaderboard as text.

        Args:
            form: The format.
            columns: The extra columns, or ``all``; by default a few in a terminal, else all.

        Raises:
            UnknownName: If there is no such column.
        """
        return render_rows(self.rows, form, columns)


def build(
    records: Iterable[Record],
    *,
    quick: bool | None = False,
    metric: str = "",
    looks: Mapping[tuple[str, str], int] | None = None,
    any_budget: bool = False,
) -> Leaderboard:
    """Rank the algorithms of each benchmark.

    Records of another budget than the benchmark's are left out: their scores do not compare.

    Args:
        records: The records.
        quick: Whether to rank the records of ``--quick`` runs instead of those of full runs;
            ``None`` ranks full runs, if there are any.
        metric: What to rank by instead of the metric of each benchmark: another metric with
            episode scores, one of :data:`metabench.leaderboard.columns.KEYS`, or one of
            :data:`metabench.leaderboard.scores.COSTS`.
        looks: How often each algorithm was scored on each benchmark
            (:func:`metabench.leaderboard.looks.looks_of`); by default unknown.
        any_budget: Whether to keep records of any budget, for a user's own trials.

    Raises:
        ResultsError: If a benchmark occurs in two versions, or if no majority of its records
            agrees in its definition, its test episodes and its metric.
        UnknownName: If ``metric`` was not measured.
    """
    chosen = RecordSelection(list(records)).with_quick(quick).with_public_episodes()
    if not any_budget:
        chosen = chosen.with_budget_of_the_benchmark()
    selection = chosen.with_valid_scores().latest().with_one_version().consistent()
    if metric and selection.records:
        check_metric(metric, selection.records)
    # One reference for a benchmark, not for a row: all rows must be measured alike.
    references = {
        title: reference_record(
            group, metric or group[0].metric, lambda result: bool(result.episodes)
        )
        for title, group in selection.by_benchmark().items()
    }
    groups = selection.by_algorithm()
    extra = extra_values(groups)
    rows = []
    for place, group in groups.items():
        row, score = make_row(group, extra[place], metric, references[place[0]])
        seen = (looks or {}).get((group[0].algorithm.name, row.benchmark))
        rows.append((replace(row, looks=seen), score))
    quick_runs = any(record.benchmark.quick for record in selection.records)
    ranked = rank_rows(rows, quick=quick_runs)
    return Leaderboard(ranked, selection, () if quick_runs else rows)
