"""Words for messages."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Returns a count with its noun, which takes an ``s`` for every count but one.

    >>> counted(1, "cell"), counted(0, "file"), counted(1234, "seed")
    ('1 cell', '0 files', '1,234 seeds')
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
