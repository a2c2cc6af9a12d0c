"""A table of meta-validation scores after equal seconds of meta-training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean, median

from tabulate import tabulate

from metabench.records.schema import SHARE, Record
from metabench.utils.grouping import grouped

_NONE_YET = "-"
_SIGNIFICANT_DIGITS = 2


def equal_seconds(records: Iterable[Record]) -> str:
    """Returns the table of one benchmark as Markdown; empty if nothing was meta-trained.

    Its columns are three times: when the fastest method ended its training, the median one and
    the slowest one. A score is that of the best state of a method by then, which is what a user
    with so much time would have got; it is a mean over the seeds. The rows of the transductive
    track follow those of the inductive one, and say so.

    Args:
        records: The records of one benchmark that are ok.
    """
    trained = [record for record in records if record.training.curve]
    if not trained:
        return ""
    by_label = grouped(trained, lambda record: record.algorithm.label)
    transductive = {
        label
        for label, found in by_label.items()
        if any(record.track == "transductive" for record in found)
    }
    times = _times(by_label.values())
    rows = [
        (label, [_mean_score(found, seconds) for seconds in times])
        for label, found in by_label.items()
    ]
    main = trained[0].metrics[trained[0].metric]
    sign = -1.0 if main.direction == "lower" else 1.0
    # By the middle column, which most methods reach; a method without a score by then is last.
    middle = len(times) // 2
    rows.sort(
        key=lambda row: (
            row[0] in transductive,
            row[1][middle] is None,
            -sign * (row[1][middle] or 0.0),
        )
    )
    percent = main.unit == SHARE
    return tabulate(
        [
            [
                f"{label} (transductive)" if label in transductive else label,
                *(_shown(score, percent=percent) for score in scores),
            ]
            for label, scores in rows
        ],
        headers=["algorithm", *(f"{seconds:g} s" for seconds in times)],
        tablefmt="pipe",
        disable_numparse=True,
    )


def score_after(record: Record, seconds: float) -> float | None:
    """Returns the best meta-validation score within some seconds of meta-training.

    Returns:
        The score; ``None`` if there was no validation by then.
    """
    reached = [p.score for p in record.training.curve if p.seconds <= seconds]
    if not reached:
        return None
    lower = record.metrics[record.metric].direction == "lower"
    return min(reached) if lower else max(reached)


def _times(groups: Iterable[Sequence[Record]]) -> list[float]:
    """Returns the seconds of the columns, each once."""
    ends = [max(r.training.curve[-1].seconds for r in records) for records in groups]
    chosen = (min(ends), median(ends), max(ends))
    return sorted({float(f"{seconds:.{_SIGNIFICANT_DIGITS}g}") for seconds in chosen})


def _mean_score(records: Sequence[Record], seconds: float) -> float | None:
    scores = [score_after(record, seconds) for record in records]
    known = [score for score in scores if score is not None]
    # Some seeds alone would be those that were fast.
    return fmean(known) if len(known) == len(scores) else None


def _shown(score: float | None, *, percent: bool) -> str:
    if score is None:
        return _NONE_YET
    return f"{100 * score:.1f}" if percent else f"{score:.3f}"
