"""The gate: what a change did to the scores, cell by cell, with a verdict that a CI can act on."""

from metabench.compare.gate import Comparison, compare
from metabench.compare.report import benchmark_entries, sentence, to_document, to_markdown, to_table
from metabench.compare.verdicts import Row, Verdict

__all__ = [
    "Comparison",
    "Row",
    "Verdict",
    "benchmark_entries",
    "compare",
    "sentence",
    "to_document",
    "to_markdown",
    "to_table",
]
