"""What a report shows, taken from the records."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from metabench.benchmarks.model import Benchmark
from metabench.errors import ResultsError
from metabench.leaderboard import build as leaderboard
from metabench.leaderboard.rows import LeaderboardRow as Row
from metabench.records.comparable import sound
from metabench.records.schema import Record
from metabench.records.selection import RecordSelection
from metabench.records.store import Unreadable
from metabench.registry import natural_order

_LONGEST_NAME = 60


@dataclass(frozen=True)
class Section:
    """One benchmark.

    Attributes:
        benchmark: its definition.
        rows: the ranked rows, the best first.
        records: those that the rows were made from, by the algorithm's label.
        styles: which colour, marker and dash each algorithm has.
        refused: why the records cannot be ranked; empty where they can.
    """

    benchmark: Benchmark
    rows: list[Row]
    records: dict[str, list[Record]]
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
        """Whether scores are shares, shown as percents."""
        return self.metric == "accuracy"

    @property
    def lower_is_better(self) -> bool:
        """Whether the metric that ranks is an error."""
        return any(row.direction == "lower" for row in self.rows)

    def well(self, label: str) -> list[Record]:
        """The records of an algorithm that ended well, by seed."""
        return sorted(
            (r for r in self.records.get(label, ()) if r.status == "ok"), key=lambda r: r.seed
        )


@dataclass(frozen=True)
class Facts:
    """All that a report shows.

    Attributes:
        sections: one for each benchmark.
        files: the page of each algorithm, by its label: a safe file name.
        left_out: what was left out, in words.
        unsound: those of them that are records which cannot be.
        unreadable: files among the records that are none.
        quick: whether these are ``--quick`` records.
    """

    sections: list[Section]
    files: dict[str, str]
    left_out: list[str] = field(default_factory=list)
    unsound: list[str] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    quick: bool = False


def gather(
    records: Iterable[Record], unreadable: Sequence[Unreadable] = (), *, quick: bool = False
) -> Facts:
    """Take from records what a report shows of them.

    Args:
        records: the records.
        unreadable: files among them that are none.
        quick: show ``--quick`` records and nothing else; by default they are left out.
    """
    records = list(records)
    chosen = [r for r in records if r.benchmark.quick == quick]
    left_out = []
    if others := len(records) - len(chosen):
        left_out.append(f"{others} record(s) of a {'real' if quick else '--quick'} run")
    kept, unsound = sound(chosen)
    left_out += unsound
    styles = {
        label: i
        for i, label in enumerate(sorted({r.algorithm.label for r in kept}, key=natural_order))
    }
    groups: dict[str, list[Record]] = {}
    for record in kept:
        groups.setdefault(record.benchmark.title, []).append(record)
    sections = []
    for title in sorted(groups, key=natural_order):
        section, without = _section(groups[title], styles, quick=quick)
        sections.append(section)
        left_out += [f"{title}: {text}" for text in without]
    return Facts(sections, file_names(styles), left_out, unsound, list(unreadable), quick)


def _section(
    records: list[Record], styles: dict[str, int], *, quick: bool
) -> tuple[Section, list[str]]:
    """A benchmark's part, and what was left out of it. Versions of a benchmark are parts of their own."""
    by_label: dict[str, list[Record]] = {}
    for record in RecordSelection(records).latest().records:
        by_label.setdefault(record.algorithm.label, []).append(record)
    try:
        board = leaderboard.build(records, quick=quick)
    except ResultsError as error:
        return Section(records[0].benchmark, [], by_label, styles, str(error)), []
    return Section(records[0].benchmark, board.rows, by_label, styles), board.left_out


def file_names(labels: Iterable[str]) -> dict[str, str]:
    """A file name for each label, unique on every file system; a label never names another folder.

    >>> file_names(["maml", "../../etc/passwd"])
    {'maml': 'maml.html', '../../etc/passwd': 'etc-passwd-3754d6cb.html'}
    """
    names: dict[str, str] = {}
    for label in labels:
        safe = re.sub(r"[^a-z0-9_-]+", "-", label.lower()).strip("-")[:_LONGEST_NAME]
        if safe != label:
            safe = f"{safe or 'algorithm'}-{_hash(label)}"
        while (
            f"{safe}.html" in names.values()
        ):  # a label that was made to look like the name of another
            safe = f"{safe}-{_hash(label + safe)}"
        names[label] = f"{safe}.html"
    return names


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
