"""The styles of tables, and bold text in tables of any format."""

from __future__ import annotations

import re

MARKS = {"markdown": ("**", "**"), "html": ("<strong>", "</strong>"), "latex": (r"\textbf{", "}")}
"""The opening and the closing mark of bold text, for each format that has bold text."""

TABULATE_STYLES = {
    "table": "simple",
    "markdown": "pipe",
    "html": "html",
    "latex": "latex_booktabs",
}
"""The style of tabulate for each format of a table."""

# Characters of Unicode's private use area, which no text contains.
_OPEN, _CLOSE = "\ue000", "\ue001"


class Emphasis:
    """Mark cells of a table as bold before a table writer escapes them.

    A table writer escapes the markup in its cells. So the cells carry two private characters,
    which it leaves alone, and the finished table gets the real marks.

    >>> bold = Emphasis("html")
    >>> bold.apply(f"<td>{bold.mark('98.6 %')}</td>")
    '<td><strong>98.6 %</strong></td>'

    Args:
        form: The format of the table. A format without bold text gets no marks.
    """

    def __init__(self, form: str) -> None:
        self.marks = MARKS.get(form)

    def mark(self, text: str) -> str:
        """Returns the text of a cell, marked as bold."""
        if self.marks is None or not text:
            return text
        if self.marks == MARKS["markdown"]:
            # The final width, so that the writer aligns the columns; it escapes no asterisks.
            return text.join(self.marks)
        return f"{_OPEN}{text}{_CLOSE}"

    def apply(self, table: str) -> str:
        """Returns the finished table with the marks of its format."""
        if self.marks is None:
            return table
        before, after = self.marks
        return re.sub(
            f"{_OPEN}([^{_CLOSE}]*){_CLOSE}", lambda match: before + match[1] + after, table
        )
