"""The data of a report: the records of each benchmark, ranked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from metabench.benchmarks.model import Benchmark
from metabench.errors import ResultsError
from metabench.leaderboard import build as leaderboard
from metabench.leaderboard.rows import LeaderboardRow
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection
from metabench.records.store import Unreadable
from metabench.registry import natural_order

_LONGEST_NAME = 60


@dataclass(frozen=True)
class BenchmarkResults:
    """The results on one benchmark.

    Attributes:
        benchmark: Its definition.
        rows: The ranked rows, best first.
        records: The records of each algorithm, by its label.
        styles: The number of each algorithm's style; see :class:`metabench.report.styles.Style`.
        refused: Why the records cannot be ranked; empty if they can.
    """

    benchmark: Benchmark
    rows: list[LeaderboardRow]
    records: Mapping[str, Sequence[Record]]
    styles: dict[str, int]
    refused: str = ""

    @property
    def title(self) -> str:
        """``name@version``."""
        return self.benchmark.title

    @property
    def metric(self) -> str:
        """The metric that ranks."""
        return self.benchmark.metrics[0]

    @property
    def percent(self) -> bool:
        """Whether scores are shown in percent."""
        return self.metric == "accuracy"

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric that ranks is an error."""
        return any(row.direction == "lower" for row in self.rows)

    def ok(self, label: str) -> list[Record]:
        """Returns the records of an algorithm that are ok, by seed."""
        return sorted(
            (r for r in self.records.get(label, ()) if r.status == "ok"), key=lambda r: r.seed
        )


@dataclass(frozen=True)
class ReportData:
    """Everything that a report shows.

    Attributes:
        benchmarks: The results on each benchmark.
        files: The name of each algorithm's page, by its label.
        left_out: What was left out, in words.
        rejected: The records that are invalid, or inconsistent with the majority, in words.
        unreadable: The files that are not records.
        quick: Whether these are the records of ``--quick`` runs.
    """

    benchmarks: list[BenchmarkResults]
    files: dict[str, str]
    left_out: list[str] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    quick: bool = False


def gather(
    records: Iterable[Record], unreadable: Sequence[Unreadable] = (), *, quick: bool | None = False
) -> ReportData:
    """Select and rank the records that a report shows.

    Args:
        records: The records.
        unreadable: The files among them that are not records.
        quick: Whether to show the records of ``--quick`` runs instead of those of full runs;
            ``None`` shows full runs, if there are any.
    """
    # No majority is required: a page shows what it can, where a leaderboard refuses to rank.
    selection = (
        RecordSelection(list(records))
        .with_quick(quick)
        .with_public_episodes()
        .with_valid_scores()
        .consistent(require_majority=False)
        .with_usual_metric_options()
    )
    labels = sorted({r.algorithm.label for r in selection.records}, key=natural_order)
    # By name, not by rank: an algorithm keeps its style on every benchmark.
    styles = {label: i for i, label in enumerate(labels)}
    groups = selection.by_benchmark()
    left_out = selection.messages
    benchmarks = []
    for title in sorted(groups, key=natural_order):
        results, messages = _results(groups[title], styles)
        benchmarks.append(results)
        left_out += [f"{title}: {message}" for message in messages]
    return ReportData(
        benchmarks,
        file_names(labels),
        left_out,
        selection.rejected,
        list(unreadable),
        any(r.benchmark.quick for r in selection.records),
    )


def _results(records: list[Record], styles: dict[str, int]) -> tuple[BenchmarkResults, list[str]]:
    """Returns the results on a benchmark, and what was left out of them in words."""
    selection = RecordSelection(records).latest()
    by_label = {label: group for (_, label), group in selection.by_algorithm().items()}
    benchmark = records[0].benchmark
    try:
        board = leaderboard.build(records, quick=benchmark.quick)
    except ResultsError as error:  # the other benchmarks are shown all the same
        return BenchmarkResults(benchmark, [], by_label, styles, str(error)), []
    return BenchmarkResults(benchmark, board.rows, by_label, styles), board.left_out


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """Returns a unique file name for each label, valid on every file system.

    >>> file_names(["maml", "../../etc/passwd"])
    {'maml': 'maml.html', '../../etc/passwd': 'etc-passwd-3754d6cb.html'}
    """
    names: dict[str, str] = {}
    for label in labels:
        # Lower case: some file systems do not distinguish cases.
        safe = re.sub(r"[^a-z0-9_-]+", "-", label.lower()).strip("-")[:_LONGEST_NAME]
        if safe != label:
            safe = f"{safe or 'algorithm'}-{_hash(label)}"
        # Another label may imitate a name with a hash.
        while f"{safe}.html" in names.values():
            safe = f"{safe}-{_hash(label + safe)}"
        names[label] = f"{safe}.html"
    return names


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
