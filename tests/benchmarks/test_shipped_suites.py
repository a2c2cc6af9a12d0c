"""The suites that ship: what they claim of their data, budgets and episodes."""

from __future__ import annotations

import pytest

from metabench.benchmarks.model import Benchmark, Suite, load_suites
from metabench.datasets.base import SPLITS
from metabench.datasets.omniglot.layout import alphabet, official_halves
from metabench.datasets.omniglot.splits import SPLITTERS
from tests.recipes import golden

SUITES = load_suites(golden.built_in())
HEADLINE = SUITES["omniglot"]
FEWEST_EPISODES = 50


def named(suite: Suite) -> dict[str, Benchmark]:
    return {benchmark.name: benchmark for benchmark in suite.benchmark}


def test_the_headline_on_omniglot_holds_whole_alphabets_out() -> None:
    assert [(b.ways, b.shots) for b in HEADLINE.benchmark] == [(5, 1), (20, 1)]
    background = set(map(alphabet, official_halves()[0].characters))
    for benchmark in HEADLINE.benchmark:
        split = SPLITTERS[str(benchmark.dataset_options["split"])](official_halves())
        train, validation, test = (set(map(alphabet, split[name])) for name in SPLITS)
        assert train | validation == background
        assert not train & validation
        assert not test & background


def test_the_headline_on_omniglot_has_one_budget_and_one_augmentation() -> None:
    assert len({b.budget for b in HEADLINE.benchmark}) == 1
    assert len({b.augmentation for b in HEADLINE.benchmark}) == 1
    # Mirrored characters are other characters: they are not classes of the data set.
    assert not any(b.augmentation.mirror for b in HEADLINE.benchmark)


@pytest.mark.parametrize("benchmark", HEADLINE.benchmark, ids=lambda b: b.name)
def test_every_figure_of_the_headline_on_omniglot_has_enough_episodes(
    benchmark: Benchmark,
) -> None:
    options = benchmark.metric_options
    assert options.keys() == {"adaptation", "adversarial", "noise", "shift", "transduction"}
    counts = [
        value
        for table in options.values()
        for name, value in table.items()
        if name.endswith("episodes")
    ]
    assert len(counts) == len(options) + 1  # the Square attack has a count of its own
    assert min(map(int, counts)) >= FEWEST_EPISODES
    assert benchmark.test_episodes == 200


@pytest.mark.parametrize("suite", ["omniglot", "shift", "sinusoid"])
def test_benchmarks_whose_test_episodes_were_seen_have_other_episodes_now(suite: str) -> None:
    # The version is part of the key that test episodes are drawn with.
    assert {benchmark.version for benchmark in SUITES[suite].benchmark} == {"2"}
