"""Rules for the files of the algorithms, so that each reads as its paper."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import metabench
from metabench.algorithms.base import Algorithm, parameters_of
from metabench.plugins import Plugins

SPECS = {spec.name: spec for spec in Plugins(only=()).registry.specs("algorithm")}
PACKAGE = Path(metabench.__file__).parent
WITHOUT_TRAINING = {"from-scratch", "nearest-mean", "random"}
# First-order MAML and Baseline++ are their base classes with one thing changed.
VARIANTS = {"fomaml": "maml", "finetune-cosine": "finetune"}


def load(name: str) -> type[Algorithm]:
    cls: type[Algorithm] = SPECS[name].load()
    return cls


@pytest.mark.parametrize("name", SPECS)
def test_at_most_two_classes_are_between_an_algorithm_and_the_contract(name: str) -> None:
    bases = load(name).__mro__
    assert bases.index(Algorithm) <= 3, [base.__name__ for base in bases]


@pytest.mark.parametrize("name", sorted(set(SPECS) - set(VARIANTS)))
def test_a_class_defines_its_own_meta_train_and_adapt(name: str) -> None:
    defined = vars(load(name))
    assert "adapt" in defined
    assert ("meta_train" in defined) is (name not in WITHOUT_TRAINING)


@pytest.mark.parametrize("name", SPECS)
def test_a_class_docstring_has_at_most_25_lines(name: str) -> None:
    assert len((load(name).__doc__ or "").strip().splitlines()) <= 25


@pytest.mark.parametrize("name", SPECS)
def test_the_first_line_of_the_file_links_to_its_page(name: str) -> None:
    source = Path(inspect.getfile(load(name))).read_text(encoding="utf-8")
    assert f"docs/algorithms/{name}.md" in source.partition("\n")[0]


@pytest.mark.parametrize("name", SPECS)
def test_a_hyper_parameter_is_named_once_where_it_is_declared(name: str) -> None:
    """A field is the only declaration: no constructor repeats it and no docstring lists it."""
    cls = load(name)
    assert "def __init__" not in inspect.getsource(cls)
    assert "Args:" not in (cls.__doc__ or "")
    assert set(parameters_of(cls)) <= set(cls.__dataclass_fields__)


def sources(*packages: str) -> list[Path]:
    return sorted(path for name in packages for path in (PACKAGE / name).rglob("*.py"))


@pytest.mark.parametrize("path", sources("algorithms", "learning"), ids=lambda path: path.stem)
def test_no_code_depends_on_the_budget_the_ways_or_requires_grad(path: Path) -> None:
    """Recipe files hold values by kind of benchmark, and attacks set ``keep_graph``."""
    text = path.read_text(encoding="utf-8")
    assert "support.x.requires_grad" not in text
    assert "problem.budget" not in text
    compared = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Compare)
        and any(isinstance(c, ast.Constant) and isinstance(c.value, int) for c in node.comparators)
        and any(word in ast.unparse(node.left) for word in ("problem.ways", "problem.shots"))
    ]
    assert compared == []
