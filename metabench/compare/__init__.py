"""Compare two sets of records, cell by cell, with a verdict for continuous integration."""

from metabench.compare.comparison import Comparison, compare
from metabench.compare.render import benchmark_entries, sentence, to_document, to_markdown, to_table
from metabench.compare.verdicts import ComparisonRow, Verdict

__all__ = [
    "Comparison",
    "ComparisonRow",
    "Verdict",
    "benchmark_entries",
    "compare",
    "sentence",
    "to_document",
    "to_markdown",
    "to_table",
]
