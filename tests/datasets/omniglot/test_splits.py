"""Omniglot's splits of characters, which need no data."""

import pytest

from metabench.datasets.base import SPLITS
from metabench.datasets.omniglot import Omniglot
from metabench.datasets.omniglot.layout import alphabet, official_halves
from metabench.datasets.omniglot.splits import SPLITTERS
from metabench.errors import UsageError


def test_omniglot_has_two_halves_of_30_and_20_alphabets() -> None:
    background, evaluation = official_halves()
    assert (len(background.characters), len(evaluation.characters)) == (964, 659)
    assert len(set(map(alphabet, background.characters))) == 30
    assert len(set(map(alphabet, evaluation.characters))) == 20


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        ("vinyals", (1028, 172, 423)),
        ("maml", (1100, 100, 423)),
        ("background-evaluation", (883, 81, 659)),
    ],
)
def test_a_split_contains_every_character_once(split: str, sizes: tuple[int, ...]) -> None:
    halves = official_halves()
    subsets = SPLITTERS[split](halves)
    assert tuple(len(subsets[subset]) for subset in SPLITS) == sizes
    every = [name for subset in SPLITS for name in subsets[subset]]
    assert sorted(every) == sorted(halves[0].characters + halves[1].characters)


def test_background_evaluation_splits_whole_alphabets() -> None:
    subsets = SPLITTERS["background-evaluation"](official_halves())
    alphabets = [set(map(alphabet, subsets[subset])) for subset in SPLITS]
    assert [len(names) for names in alphabets] == [25, 5, 20]
    assert len(set.union(*alphabets)) == 50


def test_the_maml_order_is_fixed() -> None:
    subsets = SPLITTERS["maml"](official_halves())
    assert [subsets[subset][0] for subset in SPLITS] == [
        "Malayalam/character19",
        "Grantha/character09",
        "Japanese_(katakana)/character07",
    ]


def test_an_unknown_split_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match=r"unknown omniglot split 'vinyal'") as caught:
        Omniglot(split="vinyal")
    assert "vinyals, maml, background-evaluation" in caught.value.hint
    with pytest.raises(UsageError, match="unknown split 'val'"):
        Omniglot().pool("val")  # type: ignore[arg-type]
