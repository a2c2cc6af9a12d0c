"""The files of the repository: its root, the pages of the documentation and their code blocks."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    ROOT / "leaderboards" / "README.md",
    *sorted(ROOT.glob("plugins/*/README.md")),
]
"""The pages that are written by hand; those of the leaderboards are made from records."""

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        page: The file that contains it.
        language: The word after the opening fence, such as ``sh``.
        text: The lines between the fences.
        line: The number of its first line in the file.
    """

    page: Path
    language: str
    text: str
    line: int

    @property
    def place(self) -> str:
        """Returns ``docs/usage.md:12``, for the name of a test."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    """Returns the fenced blocks of a page that name a language, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, match[2], textwrap.dedent(match[3]), text.count("\n", 0, match.start()) + 2)
        for match in _BLOCK.finditer(text)
    ]
