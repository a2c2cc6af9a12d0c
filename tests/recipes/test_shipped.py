"""The built-in recipes are valid for their algorithms."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest

from metabench.algorithms.base import parameters_of
from metabench.algorithms.problem import Problem
from metabench.learning.learner import learned_parameters
from metabench.recipes.load import names_of, recipe_rows, recipes_of
from metabench.recipes.model import Facts
from metabench.recipes.resolve import Resolved, values_for
from metabench.registry import Registry, Spec
from tests.recipes import golden

REGISTRY = golden.built_in()
ROWS = recipe_rows(REGISTRY)
OMNIGLOT = Facts("classification", "image", 5, 1, 4_000_000, "omniglot")
SINUSOID = Facts("regression", "vector", 0, 5, 35_000_000, "sinusoid")
MINI = Facts("classification", "image", 5, 1, 4_000_000, "mini-imagenet")
SHAPES = {"omniglot": (1, 28, 28), "mini-imagenet": (3, 84, 84), "sinusoid": (1,)}

ON_OMNIGLOT = (
    "anil",
    "fomaml",
    "maml",
    "matchingnet",
    "meta-sgd",
    "protonet",
    "r2d2",
    "relationnet",
)
ON_OMNIGLOT += ("reptile",)
ON_MINI = ("anil", "cavia", "finetune", "finetune-cosine", "fomaml", "maml", "matchingnet")
ON_MINI += ("meta-lstm", "protonet", "r2d2", "relationnet", "reptile")
ON_SINUSOID = ("cavia", "fomaml", "maml")

PAPERS = [
    *(
        (n, dataclasses.replace(OMNIGLOT, ways=w, shots=s))
        for n in ON_OMNIGLOT
        for w in (5, 20)
        for s in (1, 5)
    ),
    *((n, dataclasses.replace(MINI, shots=s)) for n in ON_MINI for s in (1, 5)),
    *((n, SINUSOID) for n in ON_SINUSOID),
]


def resolve(spec: Spec, facts: Facts, name: str) -> Resolved:
    cls = spec.load()
    files = recipes_of(REGISTRY, names_of(cls, spec.name))
    known = parameters_of(cls)
    return values_for(files, facts, algorithm=spec.name, hyperparameters=known, name=name)


def paper(name: str, facts: Facts) -> dict[str, Any]:
    return dict(resolve(REGISTRY.get("algorithm", name), facts, "paper").values)


def problem_of(facts: Facts, registry: Registry = REGISTRY) -> Problem:
    return Problem(
        facts.kind,
        SHAPES[facts.dataset],
        ways=facts.ways,
        shots=facts.shots,
        queries=15,
        outputs=facts.ways or 1,
        backbone_name="conv4" if facts.ways else "mlp",
        backbones={spec.name: spec.load() for spec in registry.specs("backbone")},
        budget=facts.budget,
    )


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['algorithm']}-{row['name']}")
def test_every_entry_sets_hyper_parameters_of_the_right_type(row: dict[str, Any]) -> None:
    known = parameters_of(REGISTRY.get("algorithm", row["algorithm"]).load())
    for name, value in row["values"].items():
        if typing.get_origin(wanted := known[name].annotation) is typing.Literal:
            assert value in typing.get_args(wanted)
        else:
            assert type(value) is wanted, name


@pytest.mark.parametrize("algorithm", sorted({str(row["algorithm"]) for row in ROWS}))
def test_every_file_belongs_to_a_built_in_algorithm(algorithm: str) -> None:
    assert algorithm in REGISTRY.names("algorithm")


@pytest.mark.parametrize(
    ("name", "facts"), PAPERS, ids=[f"{n}-{f.dataset}-{f.ways}w{f.shots}s" for n, f in PAPERS]
)
def test_the_values_of_a_paper_construct_the_algorithm(name: str, facts: Facts) -> None:
    values = paper(name, facts)
    algorithm = REGISTRY.get("algorithm", name).load()(problem_of(facts), **values)
    assert list(algorithm.parameters())


@pytest.mark.parametrize("name", ["maml", "fomaml", "anil"])
@pytest.mark.parametrize("shots", [1, 5])
def test_the_inner_rate_of_the_maml_paper_is_scaled_to_a_mean_loss(name: str, shots: int) -> None:
    # cbfinn/maml sums over the classes: 0.4 of 5, 0.1 of 20, and 0.01 of 5.
    def rate(facts: Facts) -> float:
        return float(paper(name, dataclasses.replace(facts, shots=shots))["inner_lr"])

    assert rate(OMNIGLOT) == pytest.approx(0.4 * 5)
    assert rate(dataclasses.replace(OMNIGLOT, ways=20)) == pytest.approx(0.1 * 20)
    assert rate(MINI) == pytest.approx(0.01 * 5)


@pytest.mark.parametrize("name", ["maml", "fomaml", "anil", "meta-sgd", "reptile"])
@pytest.mark.parametrize("ways", [5, 20])
def test_the_recipes_of_papers_learn_the_head(name: str, ways: int) -> None:
    facts = dataclasses.replace(OMNIGLOT, ways=ways)
    cls = REGISTRY.get("algorithm", name).load()
    algorithm = cls(problem_of(facts), **paper(name, facts))
    head = {id(p) for p in algorithm.learner.head.parameters()}
    assert head < {id(p) for p in learned_parameters(algorithm, algorithm.learner)}
    assert any(bool(p.any()) for p in algorithm.learner.head.parameters())
    assert algorithm.train_ways == 0


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['algorithm']}-{row['name']}")
def test_no_entry_sets_what_is_the_benchmarks(row: dict[str, Any]) -> None:
    assert not row["values"].keys() & {"budget", "shift", "mirror"}


@pytest.mark.parametrize("name", ["anil", "fomaml", "maml", "reptile"])
def test_the_recipes_of_papers_that_normalise_by_the_query_batch_do(name: str) -> None:
    assert paper(name, OMNIGLOT)["norm"] == "batch"
    assert paper(name, MINI)["norm"] == "batch"


def test_the_recipe_of_the_reptile_paper_has_smaller_mini_batches_at_test() -> None:
    five, twenty = (paper("reptile", dataclasses.replace(OMNIGLOT, ways=w)) for w in (5, 20))
    assert (five["inner_batch"], five["test_batch"]) == (10, 5)
    assert (twenty["inner_batch"], twenty["test_batch"]) == (20, 10)


def test_the_default_recipe_treats_an_unknown_budget_as_a_large_one() -> None:
    for spec in REGISTRY.specs("algorithm"):
        unknown = resolve(spec, dataclasses.replace(OMNIGLOT, budget=0), "default")
        assert unknown == resolve(spec, OMNIGLOT, "default"), spec.name


@pytest.mark.parametrize(
    "name", ["protonet", "r2d2", "matchingnet", "relationnet", "task-embedding"]
)
@pytest.mark.parametrize("ways", [10, 20])
@pytest.mark.parametrize("shots", [1, 2, 5, 10])
def test_with_more_ways_than_the_study_had_training_has_the_ways_of_the_test(
    name: str, ways: int, shots: int
) -> None:
    spec = REGISTRY.get("algorithm", name)
    for budget in (100, 10_000, 50_000, 4_000_000):
        facts = dataclasses.replace(OMNIGLOT, ways=ways, shots=shots, budget=budget)
        assert resolve(spec, facts, "default").values["train_ways"] == 0
