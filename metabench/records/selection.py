"""Select the records that can be ranked, shown or compared together.

Every table, page and chart starts with a selection::

    RecordSelection(records).with_quick(False).with_valid_scores().latest().consistent()

Each step keeps some of the records and states why it leaves out the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from metabench.errors import ResultsError
from metabench.records.comparability import (
    Scoring,
    definition_of,
    explain_conflict,
    explain_definitions,
    measurement_of,
    scoring_of,
)
from metabench.records.schema import SHARE, Record
from metabench.utils.finite import number
from metabench.utils.grouping import grouped
from metabench.utils.text import counted

_T = TypeVar("_T", bound=Hashable)

Reason = Literal[
    "quick",
    "full",
    "budget",
    "salted",
    "superseded",
    "score",
    "definition",
    "episodes",
    "metric",
    "metric-options",
]

_COUNTED: dict[Reason, str] = {
    "quick": "of --quick runs",
    "full": "of full runs",
    "budget": "trained with another budget than that of the benchmark",
    "salted": "of test episodes drawn with a salt",
    "superseded": "superseded by later ones of the same algorithm",
}
"""The reasons that are no fault of a record: a message counts these records."""

_NAMED: dict[Reason, str] = {
    "score": "invalid {} of an episode",
    "definition": "its benchmark definition differs from that of most records",
    "episodes": "its test episodes differ from those of most records",
    "metric": "its {} differs in version, direction or unit from that of most records",
    "metric-options": "its {} was measured with other options than in most records",
}
"""The reasons to reject a record: a message names each of these records."""


@dataclass(frozen=True)
class LeftOut:
    """A record that is left out; or one of its metrics, if the reason is ``metric-options``.

    Attributes:
        record: The record.
        reason: Why.
        detail: The metric, or the metric with its invalid score.
    """

    record: Record
    reason: Reason
    detail: str = ""

    @property
    def rejected(self) -> bool:
        """Whether the record is invalid, or inconsistent with the majority."""
        return self.reason in _NAMED

    def __str__(self) -> str:
        text = _NAMED.get(self.reason) or _COUNTED[self.reason]
        return f"{self.record.file_name}: {text.format(self.detail)}"


@dataclass(frozen=True)
class RecordSelection:
    """Some records, and those that were left out of them.

    Attributes:
        records: The selected records, in their original order.
        left_out: The others, with the reason.
    """

    records: Sequence[Record]
    left_out: Sequence[LeftOut] = ()

    @property
    def rejected(self) -> list[str]:
        """A message for each record that is invalid, or inconsistent with the majority."""
        return [str(one) for one in self.left_out if one.rejected]

    @property
    def messages(self) -> list[str]:
        """Everything that was left out, in words: counts first, then the rejected records."""
        counts = Counter(one.reason for one in self.left_out)
        known = [
            f"{counted(counts[why], 'record')} {text}"
            for why, text in _COUNTED.items()
            if counts[why]
        ]
        return [*known, *self.rejected]

    def by_algorithm(self) -> dict[tuple[str, str], list[Record]]:
        """Returns the records by benchmark title and algorithm label, each list by seed."""
        groups = grouped(self.records, lambda r: (r.benchmark.title, r.algorithm.label))
        return {place: sorted(group, key=lambda r: r.seed) for place, group in groups.items()}

    def by_benchmark(self) -> dict[str, list[Record]]:
        """Returns the records by benchmark title."""
        return grouped(self.records, lambda r: r.benchmark.title)

    def with_quick(self, quick: bool | None) -> RecordSelection:
        """Keep the records of ``--quick`` runs, or those of full runs.

        Args:
            quick: Which of them; ``None`` selects full runs, if there are any.
        """
        if quick is None:
            quick = bool(self.records) and all(r.benchmark.quick for r in self.records)
        reason: Reason = "full" if quick else "quick"
        return self._without(LeftOut(r, reason) for r in self.records if r.benchmark.quick != quick)

    def with_budget_of_the_benchmark(self) -> RecordSelection:
        """Keep the records of the benchmark's budget, which is the same for all algorithms."""
        other = (r for r in self.records if r.budget not in (None, r.benchmark.budget))
        return self._without(LeftOut(record, "budget") for record in other)

    def with_public_episodes(self) -> RecordSelection:
        """Keep the records of public test episodes; those drawn with a salt if all are."""
        if all(r.benchmark.episodes_salt for r in self.records):
            return self
        salted = (r for r in self.records if r.benchmark.episodes_salt)
        return self._without(LeftOut(r, "salted") for r in salted)

    def with_valid_scores(self) -> RecordSelection:
        """Keep the records whose scores are all finite, and within 0 and 1 if they are shares."""
        invalid = ((record, _invalid_score(record)) for record in self.records)
        return self._without(LeftOut(record, "score", score) for record, score in invalid if score)

    def latest(self, *, prefer_ok: bool = True) -> RecordSelection:
        """Keep the newest record of each cell.

        Records with another version, other hyper-parameters or other data than the newest record
        that is ok are superseded too: the seeds of a row are repetitions of one configuration.

        Args:
            prefer_ok: Whether a record that is ok supersedes later ones that are not. Otherwise
                the newest record counts, except that interrupted ones supersede nothing.
        """
        left_out: list[LeftOut] = []
        for group in self.by_algorithm().values():
            # The dict below keeps the last record of each seed.
            ordered = sorted(group, key=_precedence if prefer_ok else _recency)
            ok = [r for r in ordered if r.status == "ok"]
            kept = {
                r.seed: r
                for r in ordered
                if r.status != "ok" or _configuration(r) == _configuration(ok[-1])
            }
            left_out += [LeftOut(r, "superseded") for r in group if r is not kept.get(r.seed)]
        return self._without(left_out)

    def with_one_version(self) -> RecordSelection:
        """Check that each benchmark occurs in one version only.

        Raises:
            ResultsError: If a benchmark occurs in two versions.
        """
        titles: dict[str, str] = {}
        for record in self.records:
            first = titles.setdefault(record.benchmark.name, record.benchmark.title)
            if first != record.benchmark.title:
                raise ResultsError(
                    f"the records hold {first} and {record.benchmark.title}.",
                    hint=_SEPARATE,
                )
        return self

    def consistent(self, *, require_majority: bool = True) -> RecordSelection:
        """Keep the records that agree with most others of their benchmark.

        They agree in the definition of the benchmark, the test episodes, and the version, the
        direction and the unit of the metric that ranks.

        Args:
            require_majority: Whether more than half of the records must agree. Otherwise the most
                frequent kind is kept, whatever its share.

        Raises:
            ResultsError: If no majority agrees where one is required.
        """
        left_out: list[LeftOut] = []
        for group in self.by_benchmark().values():
            definitions = [definition_of(record.benchmark) for record in group]
            usual = _usual(group, definitions, require_majority)
            alike = [r for r, found in zip(group, definitions, strict=True) if found == usual]
            ok = [r for r in alike if r.status == "ok"]
            scoring = _usual(ok, [scoring_of(r) for r in ok], require_majority)
            for record, definition in zip(group, definitions, strict=True):
                # A record that is not ok has no scores: only its definition must agree.
                if definition != usual:
                    left_out.append(LeftOut(record, "definition"))
                elif record.status == "ok" and scoring and scoring_of(record) != scoring:
                    left_out.append(_scored_differently(record, scoring))
        return self._without(left_out)

    def with_usual_metric_options(self) -> RecordSelection:
        """Keep all records, without the metrics measured with other options than in most."""
        records: list[Record] = []
        left_out: list[LeftOut] = []
        for group in self.by_benchmark().values():
            names = {name for record in group for name in record.metrics}
            usual = {
                name: _most_common(_options(r, name) for r in group if name in r.metrics)
                for name in names
            }
            for record in group:
                unusual = [n for n in record.metrics if _options(record, n) != usual[n]]
                left_out += [LeftOut(record, "metric-options", name) for name in unusual]
                rest = {n: found for n, found in record.metrics.items() if n not in unusual}
                records.append(record.model_copy(update={"metrics": rest}) if unusual else record)
        return RecordSelection(records, [*self.left_out, *left_out])

    def _without(self, left_out: Iterable[LeftOut]) -> RecordSelection:
        more = list(left_out)
        gone = {id(one.record) for one in more}  # a record is mutable, so it has no hash
        kept = [record for record in self.records if id(record) not in gone]
        return RecordSelection(kept, [*self.left_out, *more])


_SEPARATE = "Their scores are not comparable: move the records of one of them to another folder."


def _invalid_score(record: Record) -> str:
    """Returns the first invalid score with the name of its metric, or nothing."""
    for name, metric in record.metrics.items():
        # Only the metric that ranks is bounded: another may be a share lost, which noise can
        # make negative.
        share = name == record.metric and (metric.unit == SHARE or name == "accuracy")
        for score in metric.episodes:
            if (share and not 0 <= score <= 1) or number(score) is None:
                return f"{name} {score:g}"
    return ""


def _precedence(record: Record) -> tuple[object, ...]:
    return record.status == "ok", record.finished


def _recency(record: Record) -> tuple[object, ...]:
    return record.status != "interrupted", record.finished, record.status == "ok"


def _configuration(record: Record) -> tuple[object, ...]:
    """Returns what the seeds of a row must share."""
    # The distribution, because two of them may provide algorithms of one name.
    algorithm = record.algorithm
    return algorithm.distribution, algorithm.version, algorithm.hyperparameters, record.data_digest


def _options(record: Record, metric: str) -> str:
    return measurement_of(record, metric).options


def _scored_differently(record: Record, usual: Scoring) -> LeftOut:
    if record.episode_digest != usual.episode_digest:
        return LeftOut(record, "episodes")
    return LeftOut(record, "metric", record.metric)


def _usual(records: Sequence[Record], values: Sequence[_T], require_majority: bool) -> _T | None:
    """Returns the most frequent of the records' values.

    Raises:
        ResultsError: If it is not that of more than half of the records where this is required.
    """
    usual = _most_common(values)
    if require_majority and 2 * sum(value == usual for value in values) <= len(values):
        others = [r for r, value in zip(records, values, strict=True) if value != values[0]]
        if others:
            raise _undecided(records[0], others[0])
    return usual


def _undecided(first: Record, other: Record) -> ResultsError:
    conflict = explain_definitions(first.benchmark, other.benchmark)
    hint = _SEPARATE
    if not conflict:
        conflict = explain_conflict(first, other)
        if first.episode_digest != other.episode_digest:
            hint = "Their data differ: check them with `metabench data verify`."
    labels = f"'{first.algorithm.label}' and '{other.algorithm.label}'"
    return ResultsError(
        f"{labels} on {first.benchmark.title} have {conflict}; no majority of the records agrees.",
        hint=hint,
    )


def _most_common(values: Iterable[_T]) -> _T | None:
    """Returns the most frequent value, and of several the first in order: reproducible pages."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value))) if counts else None
