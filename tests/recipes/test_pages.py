"""Every built-in algorithm has a complete page in the documentation."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from metabench.algorithms.base import parameters_of
from metabench.recipes.load import recipe_rows
from tests.helpers import algorithm_pages
from tests.recipes import golden

PAGES = Path(__file__).parents[2] / "docs" / "algorithms"
REGISTRY = golden.built_in()
ALGORITHMS = REGISTRY.names("algorithm")
SECTIONS = [
    "Method",
    "Reference",
    "Hyper-parameters",
    "Recipes",
    "What was measured",
    "What was tried",
    "Deviations from the paper",
]


def page(name: str) -> str:
    return (PAGES / f"{name}.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_page_has_its_sections_in_order(name: str) -> None:
    assert re.findall(r"^## (.*)$", page(name), re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_page_has_the_table_of_hyper_parameters_of_the_source(name: str) -> None:
    cls = REGISTRY.get("algorithm", name).load()
    begin = f"<!-- hyperparameters {name} -->\n"
    assert f"{begin}{algorithm_pages.table_of(cls)}\n<!-- end -->" in page(name), (
        "run `python -m tests.helpers.algorithm_pages`"
    )


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_hyper_parameter_has_a_comment(name: str) -> None:
    cls = REGISTRY.get("algorithm", name).load()
    meanings = algorithm_pages.comments_of(cls)
    assert [field for field in parameters_of(cls) if not meanings.get(field)] == []


@pytest.mark.parametrize("name", sorted({str(row["algorithm"]) for row in recipe_rows(REGISTRY)}))
def test_a_page_links_to_the_recipes(name: str) -> None:
    assert f"(../../metabench/recipes/{name}.toml)" in page(name)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_the_index_links_to_the_page(name: str) -> None:
    assert f"]({name}.md)" in page("index")


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.md")), ids=lambda path: path.stem)
def test_the_links_of_a_page_exist(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", path.read_text(encoding="utf-8")):
        assert (PAGES / link).exists(), link
