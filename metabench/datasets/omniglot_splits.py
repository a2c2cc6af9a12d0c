"""How papers share Omniglot's characters out to meta-training, meta-validation and meta-test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from metabench.datasets.base import Split
from metabench.datasets.omniglot_layout import Half, alphabet, vinyals_characters

Halves = tuple[Half, Half]
Parts = dict[Split, tuple[str, ...]]

_MAML_TRAIN, _MAML_VALIDATION = 1100, 100
_META_DATASET_VALIDATION = frozenset(
    {
        "Alphabet_of_the_Magi",
        "Blackfoot_(Canadian_Aboriginal_Syllabics)",
        "Inuktitut_(Canadian_Aboriginal_Syllabics)",
        "Ojibwe_(Canadian_Aboriginal_Syllabics)",
        "Tagalog",
    }
)


def vinyals(halves: Halves) -> Parts:
    """Fixed lists (Vinyals et al. 2016, as Snell et al. 2017 published them)."""
    return {
        "train": vinyals_characters("train"),
        "validation": vinyals_characters("val"),
        "test": vinyals_characters("test"),
    }


def maml(halves: Halves) -> Parts:
    """1100, 100 and the other 423 in an order that is random once and for all (Finn et al. 2017)."""
    every = [name for half in halves for name in half.characters]
    every.sort(key=lambda name: hashlib.sha256(f"maml-split-1/{name}".encode()).digest())
    test = _MAML_TRAIN + _MAML_VALIDATION
    return {
        "train": tuple(every[:_MAML_TRAIN]),
        "validation": tuple(every[_MAML_TRAIN:test]),
        "test": tuple(every[test:]),
    }


def background_evaluation(halves: Halves) -> Parts:
    """Whole alphabets (Lake et al. 2015; Triantafillou et al. 2020 for the validation alphabets)."""
    background, evaluation = halves
    return {
        "train": tuple(
            n for n in background.characters if alphabet(n) not in _META_DATASET_VALIDATION
        ),
        "validation": tuple(
            n for n in background.characters if alphabet(n) in _META_DATASET_VALIDATION
        ),
        "test": evaluation.characters,
    }


#: Every way to split, by the name that a benchmark gives it.
SPLITTERS: Mapping[str, Callable[[Halves], Parts]] = {
    "vinyals": vinyals,
    "maml": maml,
    "background-evaluation": background_evaluation,
}
