"""A comparison as JSON, as Markdown for a pull request, and as github-action-benchmark reads it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from metabench.compare.gate import Comparison
from metabench.compare.verdicts import ABSOLUTE_UNIT, Row, Verdict

_SHOWN = 5
_LEAST_ERROR = 1e-100  # the square of a smaller one is 0
_COUNTS: tuple[tuple[Verdict, str], ...] = (
    ("better", "better"),
    ("same", "the same"),
    ("new", "new"),
    ("gone", "gone"),
)


def sentence(comparison: Comparison) -> str:
    """The verdict in a sentence."""
    worse = comparison.regressions
    counts = [f"{len(rows)} {word}" for name, word in _COUNTS if (rows := comparison.of(name))]
    rest = f" ({', '.join(counts)})" if counts else ""
    if worse:
        losses = "; ".join(_loss(row) for row in worse[:_SHOWN])
        more = f"; and {len(worse) - _SHOWN} more" if len(worse) > _SHOWN else ""
        text = (
            f"{len(worse)} of {comparison.compared} cells {_is(worse)} worse: {losses}{more}{rest}."
        )
    elif comparison.compared:
        text = f"No cell is worse{rest}."
    else:
        text = f"No cell could be compared{rest}."
    refused = comparison.of("not-comparable")
    if refused:
        text += f" {len(refused)} {_is(refused)} not comparable."
    return text


def to_document(comparison: Comparison) -> dict[str, Any]:
    """The comparison as JSON values: ``verdict``, ``regressions``, ``compared``, ``rows``, ``left_out``."""
    return {
        "verdict": sentence(comparison),
        "regressions": len(comparison.regressions),
        "compared": comparison.compared,
        "min_effect": comparison.min_effect,
        "alpha": comparison.alpha,
        "rows": [asdict(row) for row in comparison.rows],
        "left_out": comparison.left_out,
    }


def to_table(comparison: Comparison) -> str:
    """The comparison for a terminal."""
    return tabulate(
        [_columns(row) for row in comparison.rows], headers="keys", disable_numparse=True
    )


def to_markdown(comparison: Comparison, *, notices: Sequence[str] = ()) -> str:
    """The comparison as a summary for a pull request, what wants attention first.

    Whatever comes from a record is escaped: a name makes no table, link, mention or HTML of its own.

    Args:
        comparison: the comparison.
        notices: what else is to be said.
    """
    lines = ["## metabench", "", f"**{_escape(sentence(comparison))}**", ""]
    loud = [row for row in comparison.rows if row.verdict != "same" or row.warnings]
    quiet = [row for row in comparison.rows if row not in loud]
    if loud:
        lines += [_markdown_table(loud), ""]
    if quiet:
        lines += [
            f"<details><summary>{len(quiet)} the same</summary>",
            "",
            _markdown_table(quiet),
            "",
        ]
        lines += ["</details>", ""]
    lines += [f"* {_escape(text)}" for text in [*explanations(comparison), *notices]]
    return "\n".join(lines).rstrip() + "\n"


def explanations(comparison: Comparison) -> list[str]:
    """What a reader must know of the rows, in sentences."""
    rows = comparison.rows
    found = [
        f"Worse or better: significant at {comparison.alpha:g} after Holm's correction over the table, and "
        f"by at least {100 * comparison.min_effect:g} % (of a metric that is no share: relative). "
        "Time and memory only warn."
    ]
    if any(row.benchmark.endswith("+quick") for row in rows):
        found.append("Quick records show whether things work, and not how good they are.")
    others = {row.other_machine for row in rows if row.other_machine}
    found += [
        f"Time and memory of another machine are not compared: {text}."
        for text in sorted(others)[:_SHOWN]
    ]
    found += [f"Left out: {text}." for text in comparison.left_out]
    return found


def benchmark_entries(comparison: Comparison) -> list[dict[str, Any]]:
    """The new scores as github-action-benchmark's ``customBiggerIsBetter`` reads them.

    There larger must be better and the ratio of two values mean something, so an error is given as its
    reciprocal.
    """
    entries = []
    for row in comparison.rows:
        if row.new is None:
            continue
        lower = row.direction == "lower"
        if lower and not row.new > _LEAST_ERROR:
            continue
        half = row.new_ci95
        entries.append(
            {
                "name": f"{row.title}: {'1 / ' if lower else ''}{row.metric}",
                "unit": f"1 / ({row.unit})" if lower else row.unit,
                "value": 1 / row.new if lower else row.new,
                "range": "" if half is None else f"± {half / row.new**2 if lower else half:.4g}",
                "extra": f"{row.metric} {row.new:.6g}; {_outcome(row)}",
            }
        )
    return entries


def _outcome(row: Row) -> str:
    seeds = f"seeds {', '.join(map(str, row.seeds))}"
    p = "" if row.p_value is None else f", p = {row.p_value:.2g}"
    return f"{row.verdict}{p}; {seeds}{'; ' + row.reason if row.reason else ''}"


def _loss(row: Row) -> str:
    if row.difference is None:
        return f"{row.title} {row.reason}"
    size = abs(row.difference)
    by = f"{100 * size:.1f} points" if row.unit == ABSOLUTE_UNIT else f"{size:.3g} in {row.metric}"
    return f"{row.title} by {by} (p = {row.p_value:.2g})"


def _is(rows: Sequence[Row]) -> str:
    return "is" if len(rows) == 1 else "are"


def _columns(row: Row) -> dict[str, str]:
    """A row as people read it."""
    difference = "" if row.difference is None else _score(row, row.difference, signed=True)
    if row.ci95 is not None:
        difference += (
            f" ± {100 * row.ci95:.2f}" if row.unit == ABSOLUTE_UNIT else f" ± {row.ci95:.3g}"
        )
    return {
        "verdict": row.verdict,
        "algorithm": row.algorithm,
        "benchmark": row.benchmark,
        "metric": f"{row.metric} %" if row.unit == ABSOLUTE_UNIT else row.metric,
        "seeds": ", ".join(map(str, row.seeds)),
        "base": _score(row, row.base),
        "new": _score(row, row.new),
        "difference": difference,
        "p": "" if row.p_value is None else f"{row.p_value:.2g}",
        "why": "; ".join(filter(None, [row.reason, *row.notes, *row.warnings])),
    }


def _score(row: Row, value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.2f}" if row.unit == ABSOLUTE_UNIT else f"{value:{sign}.4g}"


def _markdown_table(rows: Sequence[Row]) -> str:
    body = [{name: _escape(text) for name, text in _columns(row).items()} for row in rows]
    return tabulate(body, headers="keys", tablefmt="pipe", disable_numparse=True)


_ENTITIES = str.maketrans({c: f"&#{ord(c)};" for c in "|[]`*_@\\~#!"} | {"\n": " ", "\r": " "})


def _escape(text: str) -> str:
    return html.escape(text, quote=False).translate(_ENTITIES)
