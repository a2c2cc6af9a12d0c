"""Splits of Omniglot's characters into meta-training, meta-validation and meta-test."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from metabench.datasets.base import Split
from metabench.datasets.omniglot.layout import Half, alphabet, vinyals_characters

Halves = tuple[Half, Half]
Characters = dict[Split, tuple[str, ...]]

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


def vinyals(halves: Halves) -> Characters:
    """Returns the fixed lists of Vinyals et al. 2016, as Snell et al. 2017 published them."""
    del halves
    return {
        "train": vinyals_characters("train"),
        "validation": vinyals_characters("val"),
        "test": vinyals_characters("test"),
    }


def maml(halves: Halves) -> Characters:
    """Returns 1100, 100 and the other 423 characters in a fixed random order (Finn et al. 2017)."""
    every = [name for half in halves for name in half.characters]
    # The paper shuffles the listing of a folder, whose order differs between machines; a hash of
    # the name gives everybody the same order.
    every.sort(key=lambda name: hashlib.sha256(f"maml-split-1/{name}".encode()).digest())
    test = _MAML_TRAIN + _MAML_VALIDATION
    return {
        "train": tuple(every[:_MAML_TRAIN]),
        "validation": tuple(every[_MAML_TRAIN:test]),
        "test": tuple(every[test:]),
    }


def background_evaluation(halves: Halves) -> Characters:
    """Returns whole alphabets: Lake et al. 2015; validation of Triantafillou et al. 2020."""
    background, evaluation = halves
    held_out = _META_DATASET_VALIDATION
    return {
        "train": tuple(n for n in background.characters if alphabet(n) not in held_out),
        "validation": tuple(n for n in background.characters if alphabet(n) in held_out),
        "test": evaluation.characters,
    }


SPLITTERS: Mapping[str, Callable[[Halves], Characters]] = {
    "vinyals": vinyals,
    "maml": maml,
    "background-evaluation": background_evaluation,
}
"""Each split by its name in a benchmark."""
