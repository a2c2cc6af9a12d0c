"""The contents of Omniglot: two halves, 50 alphabets, 1623 characters, 20 drawers.

Reference: Lake, Salakhutdinov and Tenenbaum 2015, "Human-level concept learning through
probabilistic program induction", Science 350.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

DRAWERS = 20
SIDE = 105
"""Width and height of the published images, in pixels."""

_EVALUATION_ALPHABETS = frozenset(
    {
        "Angelic",
        "Atemayar_Qelisayer",
        "Atlantean",
        "Aurek-Besh",
        "Avesta",
        "Ge_ez",
        "Glagolitic",
        "Gurmukhi",
        "Kannada",
        "Keble",
        "Malayalam",
        "Manipuri",
        "Mongolian",
        "Old_Church_Slavonic_(Cyrillic)",
        "Oriya",
        "Sylheti",
        "Syriac_(Serto)",
        "Tengwar",
        "Tibetan",
        "ULOG",
    }
)


@dataclass(frozen=True)
class Half:
    """One half of Omniglot, as published.

    Args:
        name: Name of its folder, and of its zip without ``.zip``.
        characters: ``Alphabet/characterNN`` of each character, sorted.
    """

    name: str
    characters: tuple[str, ...]


def alphabet(character: str) -> str:
    """Returns the alphabet of ``Alphabet/characterNN``."""
    return character.partition("/")[0]


def vinyals_characters(name: str) -> tuple[str, ...]:
    """Returns one list of the split of Vinyals et al. 2016, as Snell et al. 2017 published it.

    Args:
        name: ``train`` (1028 characters), ``val`` (172) or ``test`` (423).

    Returns:
        ``Alphabet/characterNN`` of each character, in the order of the list.
    """
    text = files("metabench.datasets.omniglot") / f"vinyals_{name}.txt"
    return tuple(text.read_text(encoding="utf-8").split())


def official_halves() -> tuple[Half, Half]:
    """Returns Omniglot as published: 964 background and 659 evaluation characters."""
    # The three lists together are all characters, so no fourth list is needed.
    lists = ("train", "val", "test")
    every = sorted(name for list_ in lists for name in vinyals_characters(list_))
    background = tuple(name for name in every if alphabet(name) not in _EVALUATION_ALPHABETS)
    evaluation = tuple(name for name in every if alphabet(name) in _EVALUATION_ALPHABETS)
    return Half("images_background", background), Half("images_evaluation", evaluation)
