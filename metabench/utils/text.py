"""Words for messages."""

from __future__ import annotations


def counted(count: int, noun: str, plural: str = "") -> str:
    """Returns a count with its noun, in the plural for every count but one.

    Args:
        count: The count.
        noun: The noun in the singular.
        plural: The plural, if it is not the noun with an ``s``.

    >>> counted(1, "cell"), counted(0, "file"), counted(1234, "seed")
    ('1 cell', '0 files', '1,234 seeds')
    >>> counted(2, "query", "queries")
    '2 queries'
    """
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"
