"""The best of a column in bold, whatever the table is written in."""

from __future__ import annotations

import re

MARKS = {"markdown": ("**", "**"), "html": ("<strong>", "</strong>"), "latex": (r"\textbf{", "}")}
"""What stands before and behind a text in bold, in the formats that have bold."""

_OPEN, _CLOSE = "\ue000", "\ue001"  # of Unicode's private use: they mean nothing in any text


class Emphasis:
    """Texts that stand out in a table of one format.

    A writer of tables escapes what it is given, so the marks are put into a text as two characters that it
    lets pass, and drawn when the table is done.

    >>> bold = Emphasis("html")
    >>> bold.drawn(f"<td>{bold.on('98.6 %')}</td>")
    '<td><strong>98.6 %</strong></td>'

    Args:
        form: the format of the table; in one without bold nothing stands out.
    """

    def __init__(self, form: str) -> None:
        self.marks = MARKS.get(form)

    def on(self, text: str) -> str:
        """The text, to stand out."""
        if self.marks is None or not text:
            return text
        if self.marks == MARKS["markdown"]:
            return text.join(self.marks)  # as wide as it will be, so that the columns stay straight
        return f"{_OPEN}{text}{_CLOSE}"

    def drawn(self, table: str) -> str:
        """The table with its marks."""
        if self.marks is None:
            return table
        before, after = self.marks
        return re.sub(
            f"{_OPEN}([^{_CLOSE}]*){_CLOSE}", lambda found: before + found[1] + after, table
        )
