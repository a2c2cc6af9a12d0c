"""Render a comparison as a table, as JSON, as Markdown and for github-action-benchmark."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from tabulate import tabulate

from metabench.compare.comparison import Comparison
from metabench.compare.verdicts import ComparisonRow, Verdict
from metabench.records.schema import SHARE

_MOST_LISTED = 5
_LEAST_ERROR = 1e-100  # the square of a smaller one underflows to 0
_COUNTED: tuple[tuple[Verdict, str], ...] = (
    ("better", "better"),
    ("equivalent", "equivalent"),
    ("undecided", "undecided"),
    ("new", "new"),
    ("gone", "gone"),
)


def sentence(comparison: Comparison) -> str:
    """Returns the verdict as a sentence."""
    worse = comparison.regressions
    counts = [f"{len(rows)} {word}" for name, word in _COUNTED if (rows := comparison.of(name))]
    rest = f" ({', '.join(counts)})" if counts else ""
    if worse:
        losses = "; ".join(_loss(row) for row in worse[:_MOST_LISTED])
        more = f"; and {len(worse) - _MOST_LISTED} more" if len(worse) > _MOST_LISTED else ""
        count = f"{len(worse)} of {comparison.compared}"
        text = f"{count} cells {_is(worse)} worse: {losses}{more}{rest}."
    elif comparison.compared:
        text = f"No cell is worse{rest}."
    else:
        text = f"No cell could be compared{rest}."
    refused = comparison.of("not-comparable")
    if refused:
        text += f" {len(refused)} {_is(refused)} not comparable."
    gone = comparison.gone
    if gone:
        names = "; ".join(row.title for row in gone[:_MOST_LISTED])
        more = f"; and {len(gone) - _MOST_LISTED} more" if len(gone) > _MOST_LISTED else ""
        text += f" The new results lack {names}{more}."
    return text


def to_document(comparison: Comparison) -> dict[str, Any]:
    """Returns the comparison as a JSON document."""
    return {
        "verdict": sentence(comparison),
        "regressions": len(comparison.regressions),
        "compared": comparison.compared,
        "gone": len(comparison.gone),
        "min_effect": comparison.min_effect,
        "alpha": comparison.alpha,
        "rows": [asdict(row) for row in comparison.rows],
        "left_out": comparison.left_out,
    }


def to_table(comparison: Comparison) -> str:
    """Returns the comparison as a table for a terminal."""
    return tabulate([_cells(row) for row in comparison.rows], headers="keys", disable_numparse=True)


def to_markdown(comparison: Comparison, *, notices: Sequence[str] = ()) -> str:
    """Returns the comparison as the summary of a pull request.

    Text of a record is escaped, so that no name becomes a table cell, a link, a mention or HTML.

    Args:
        comparison: The comparison.
        notices: Further remarks.
    """
    lines = ["## metabench", "", f"**{_escape(sentence(comparison))}**", ""]
    # A pull request shows what needs attention; the rest is folded.
    shown = [row for row in comparison.rows if row.verdict != "equivalent" or row.warnings]
    folded = [row for row in comparison.rows if row not in shown]
    if shown:
        lines += [_markdown_table(shown), ""]
    if folded:
        lines += [
            f"<details><summary>{len(folded)} equivalent</summary>",
            "",
            _markdown_table(folded),
            "",
            "</details>",
            "",
        ]
    lines += [f"* {_escape(text)}" for text in [*_explanations(comparison), *notices]]
    return "\n".join(lines).rstrip() + "\n"


def _explanations(comparison: Comparison) -> list[str]:
    """Returns what a reader must know to understand the rows."""
    rows = comparison.rows
    found = [
        f"Worse or better: significant at {comparison.alpha:g} after Holm's correction over the "
        f"table, and by at least {100 * comparison.min_effect:g} % (relative, for a metric that is "
        "not a share). Equivalent: shown to differ by less. Undecided: neither; more seeds would "
        "tell. One seed a side, time and memory only warn."
    ]
    if any(row.benchmark.endswith("+quick") for row in rows):
        found.append("Quick records check that the code runs; their scores mean nothing.")
    others = {row.other_machine for row in rows if row.other_machine}
    found += [
        f"Time and memory of another machine are not compared: {text}."
        for text in sorted(others)[:_MOST_LISTED]
    ]
    found += [f"Left out: {text}." for text in comparison.left_out]
    return found


def benchmark_entries(comparison: Comparison) -> list[dict[str, Any]]:
    """Returns the new scores as github-action-benchmark reads ``customBiggerIsBetter``."""
    entries = []
    for row in comparison.rows:
        if row.new is None:
            continue
        # Larger must be better, and a ratio of two values meaningful: hence 1 / error.
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


def _outcome(row: ComparisonRow) -> str:
    seeds = f"seeds {', '.join(map(str, row.seeds))}"
    p = "" if row.p_value is None else f", p = {row.p_value:.2g}"
    return f"{row.verdict}{p}; {seeds}{'; ' + row.reason if row.reason else ''}"


def _loss(row: ComparisonRow) -> str:
    if row.difference is None:
        return f"{row.title} {row.reason}"
    size = abs(row.difference)
    by = f"{100 * size:.1f} points" if row.unit == SHARE else f"{size:.3g} in {row.metric}"
    return f"{row.title} by {by} (p = {row.p_value:.2g})"


def _is(rows: Sequence[ComparisonRow]) -> str:
    return "is" if len(rows) == 1 else "are"


def _cells(row: ComparisonRow) -> dict[str, str]:
    difference = "" if row.difference is None else _score(row, row.difference, signed=True)
    if row.low is not None and row.high is not None:
        ends = (_score(row, end, signed=True) for end in (row.low, row.high))
        difference += f" ({' to '.join(ends)})"
    return {
        "verdict": row.verdict,
        "algorithm": row.algorithm,
        "benchmark": row.benchmark,
        "metric": f"{row.metric} %" if row.unit == SHARE else row.metric,
        "seeds": ", ".join(map(str, row.seeds)),
        "base": _score(row, row.base),
        "new": _score(row, row.new),
        "difference": difference,
        "p": "" if row.p_value is None else f"{row.p_value:.2g}",
        "reason": "; ".join(filter(None, [row.reason, *row.notes, *row.warnings])),
    }


def _score(row: ComparisonRow, value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return ""
    sign = "+" if signed else ""
    return f"{100 * value:{sign}.2f}" if row.unit == SHARE else f"{value:{sign}.4g}"


def _markdown_table(rows: Sequence[ComparisonRow]) -> str:
    body = [{name: _escape(text) for name, text in _cells(row).items()} for row in rows]
    # As text, because tabulate would write the number 0.50 as 0.5.
    return tabulate(body, headers="keys", tablefmt="pipe", disable_numparse=True)


# The characters with a meaning in GitHub's Markdown; "@" would mention a user, "#" an issue.
_ENTITIES = str.maketrans({c: f"&#{ord(c)};" for c in "|[]`*_@\\~#!"} | {"\n": " ", "\r": " "})


def _escape(text: str) -> str:
    return html.escape(text, quote=False).translate(_ENTITIES)
