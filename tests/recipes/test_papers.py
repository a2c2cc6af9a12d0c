"""The suite of papers' cells with the recipe `paper` has the conditions that the papers state.

The numbers are those of the papers and of the code of their authors: Finn et al. 2017 (sections
5.1 and A.1, cbfinn/maml), Snell et al. 2017 (section 3.1), Vinyals et al. 2016 (section 4.1).
"""

from __future__ import annotations

from typing import Any

import pytest

from metabench.benchmarks.model import Benchmark, load_suites
from metabench.datasets.base import SPLITS
from metabench.datasets.omniglot.layout import official_halves
from metabench.datasets.omniglot.splits import SPLITTERS
from tests.recipes import golden

REGISTRY = golden.built_in()
PAPERS = {b.name: b for b in load_suites(REGISTRY)["papers"].benchmark}

WAYS_AND_SHOTS = [(5, 1), (5, 5), (20, 1), (20, 5)]
# Inner rate of a sum over classes, inner steps in training and at test, tasks of an outer step.
MAML = {5: (0.4, 1, 3, 32), 20: (0.1, 5, 5, 16)}


def paper(algorithm: str, benchmark: Benchmark) -> dict[str, Any]:
    return golden.resolve(REGISTRY, REGISTRY.get("algorithm", algorithm), benchmark, "paper")


def characters(benchmark: Benchmark) -> list[int]:
    split = SPLITTERS[str(benchmark.dataset_options["split"])](official_halves())
    return [len(split[name]) for name in SPLITS]


def network_of(values: dict[str, Any], benchmark: Benchmark) -> str:
    return str(values["backbone"] or benchmark.backbone)


def test_the_suite_has_the_cells_of_the_papers_and_says_that_none_was_run() -> None:
    cells = {
        f"papers-{split}-omniglot-{w}w{s}s"
        for split in ("maml", "vinyals")
        for w, s in WAYS_AND_SHOTS
    }
    assert PAPERS.keys() == cells | {"papers-maml-sinusoid-5s"}
    assert "sized for a GPU and not run here" in load_suites(REGISTRY)["papers"].summary


@pytest.mark.parametrize("algorithm", ["maml", "anil", "fomaml"])
@pytest.mark.parametrize(("ways", "shots"), WAYS_AND_SHOTS)
def test_maml_on_omniglot_is_that_of_its_paper(algorithm: str, ways: int, shots: int) -> None:
    benchmark = PAPERS[f"papers-maml-omniglot-{ways}w{shots}s"]
    values = paper(algorithm, benchmark)
    rate, train_steps, test_steps, tasks = MAML[ways]
    # The code sums the loss over the classes, and here it is their mean.
    assert values["inner_lr"] == pytest.approx(rate * ways)
    assert (values["inner_steps"], values["test_steps"]) == (train_steps, test_steps)
    assert (values["tasks"], values["outer_lr"], values["anneal"]) == (tasks, 1e-3, False)
    assert network_of(values, benchmark) == "conv4-strided"
    assert values["norm"] == "batch"
    # Training has the ways of the test, and with 0 its shots and as many queries as shots.
    assert (values["train_shots"], values["train_queries"]) == (0, 0)
    assert "train_ways" not in values
    assert (benchmark.ways, benchmark.shots, benchmark.queries) == (ways, shots, shots)
    assert characters(benchmark) == [1100, 100, 423]
    assert benchmark.budget == 60_000 * tasks * ways * 2 * shots
    assert benchmark.test_episodes == 600
    assert not benchmark.augmentation


@pytest.mark.parametrize(("ways", "shots"), WAYS_AND_SHOTS)
def test_protonet_on_omniglot_is_that_of_its_paper(ways: int, shots: int) -> None:
    benchmark = PAPERS[f"papers-vinyals-omniglot-{ways}w{shots}s"]
    values = paper("protonet", benchmark)
    assert (values["train_ways"], values["train_queries"], values["tasks"]) == (60, 5, 1)
    assert values["lr"] == 1e-3
    assert network_of(values, benchmark) == "conv4"
    assert benchmark.budget == 20_000 * 60 * (shots + 5)


@pytest.mark.parametrize(("ways", "shots"), WAYS_AND_SHOTS)
def test_matching_networks_on_omniglot_are_those_of_their_paper(ways: int, shots: int) -> None:
    benchmark = PAPERS[f"papers-vinyals-omniglot-{ways}w{shots}s"]
    values = paper("matchingnet", benchmark)
    assert (values["distance"], values["fce"]) == ("cosine", False)
    assert (values["scale"], values["learn_scale"]) == (1.0, False)
    assert values["train_ways"] == 0  # as at test
    assert network_of(values, benchmark) == "conv4"


@pytest.mark.parametrize(("ways", "shots"), WAYS_AND_SHOTS)
def test_the_episodes_of_vinyals_split_are_those_of_protonets_paper(ways: int, shots: int) -> None:
    benchmark = PAPERS[f"papers-vinyals-omniglot-{ways}w{shots}s"]
    assert (benchmark.ways, benchmark.shots, benchmark.queries) == (ways, shots, 15)
    assert benchmark.test_episodes == 1000
    assert characters(benchmark) == [1028, 172, 423]
    assert not benchmark.augmentation


def test_maml_on_the_sinusoid_is_that_of_its_paper() -> None:
    benchmark = PAPERS["papers-maml-sinusoid-5s"]
    values = paper("maml", benchmark)
    assert (values["inner_lr"], values["inner_steps"], values["test_steps"]) == (0.01, 1, 10)
    assert (values["tasks"], values["outer_lr"], values["anneal"]) == (25, 1e-3, False)
    # Ten points and as many queries in training, five points at test; 70,000 outer steps.
    assert (values["train_shots"], values["train_queries"], benchmark.shots) == (10, 0, 5)
    assert benchmark.budget == 70_000 * 25 * (10 + 10)
    assert network_of(values, benchmark) == "mlp"
