"""The command lines in the ``sh`` blocks of the documentation."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass

from tests.helpers.repository import PAGES, blocks


@dataclass(frozen=True)
class Command:
    """One command line.

    Attributes:
        place: The page and line of its block.
        words: The program and its arguments.
    """

    place: str
    words: tuple[str, ...]

    @property
    def program(self) -> str:
        """Returns the name of the program."""
        return self.words[0]

    @property
    def arguments(self) -> list[str]:
        """Returns what follows the program."""
        return list(self.words[1:])

    def __str__(self) -> str:
        return f"{self.place}: {' '.join(self.words)}"


def commands() -> list[Command]:
    """Returns every command of the ``sh`` blocks, in the order of the pages.

    The commands of a ``for`` loop are repeated for each word.
    """
    found = []
    for page in PAGES:
        for block in blocks(page):
            if block.language == "sh":
                found += [Command(block.place, words) for words in parse(block.text)]
    return found


def parse(text: str) -> list[tuple[str, ...]]:
    """Returns the words of each command of a shell script, without comments and redirections.

    Supports lists (``&&``), continued lines, and ``for`` loops over words.
    """
    loop = re.compile(r"^for (\w+) in ([^;\n]*); do\n(.*?)^done$", re.DOTALL | re.MULTILINE)
    text = loop.sub(_unrolled, text.replace("\\\n", " "))
    found = []
    for line in re.split(r"\n|&&", text):
        words = shlex.split(line.partition(">")[0], comments=True)
        if words:
            found.append(tuple(words))
    return found


def _unrolled(loop: re.Match[str]) -> str:
    name, values, body = loop.groups()
    return "".join(re.sub(rf"\${name}\b", value, body) for value in values.split())
