"""What Omniglot consists of: two halves, 50 alphabets, 1623 characters, 20 drawers.

Reference: Lake, Salakhutdinov, Tenenbaum 2015, "Human-level concept learning through probabilistic program
induction", Science 350.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

DRAWERS = 20
SIDE = 105

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
    """One half of Omniglot as it should be.

    Args:
        name: of its folder, and of its zip without ``.zip``.
        characters: ``Alphabet/characterNN`` for each of its characters, sorted.
    """

    name: str
    characters: tuple[str, ...]


def alphabet(character: str) -> str:
    """The alphabet of ``Alphabet/characterNN``."""
    return character.partition("/")[0]


def vinyals_characters(part: str) -> tuple[str, ...]:
    """The characters of one part of the split of Vinyals et al. 2016, as Snell et al. 2017 published it.

    Args:
        part: ``train`` (1028 characters), ``val`` (172) or ``test`` (423).

    Returns:
        ``Alphabet/characterNN`` for each, in the order of the list.
    """
    text = files("metabench.datasets") / "splits" / "omniglot" / f"vinyals_{part}.txt"
    return tuple(text.read_text(encoding="utf-8").split())


def official_halves() -> tuple[Half, Half]:
    """Omniglot as it was published: 964 background characters and 659 evaluation characters."""
    every = sorted(name for part in ("train", "val", "test") for name in vinyals_characters(part))
    return (
        Half(
            "images_background", tuple(n for n in every if alphabet(n) not in _EVALUATION_ALPHABETS)
        ),
        Half("images_evaluation", tuple(n for n in every if alphabet(n) in _EVALUATION_ALPHABETS)),
    )
