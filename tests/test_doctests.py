"""Every example in a docstring or on a page of the documentation is run and is correct."""

from __future__ import annotations

import doctest
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.repository import PAGES, ROOT

FLAGS = doctest.ELLIPSIS
PACKAGES = [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]
"""Folders that hold an importable package: metabench's own and those of the plugins."""


def examples_in(path: Path) -> int:
    """Returns how many examples (``>>>``) the text of a file holds."""
    return len(doctest.DocTestParser().get_examples(path.read_text(encoding="utf-8")))


def modules() -> Iterator[tuple[Path, str]]:
    """Yields the folder to import from and the dotted name of each module that has examples."""
    for folder in PACKAGES:
        for path in sorted(folder.glob("metabench*/**/*.py")) + sorted(
            folder.glob("metabench*.py")
        ):
            place = path.relative_to(folder)
            if examples_in(path):
                yield folder, ".".join(place.with_suffix("").parts).removesuffix(".__init__")


MODULES = list(modules())


@pytest.mark.parametrize(("folder", "name"), MODULES, ids=[name for _, name in MODULES])
def test_the_examples_of_a_module_are_correct(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(folder)
    module = importlib.import_module(name)
    failed, attempted = doctest.testmod(module, optionflags=FLAGS)
    assert failed == 0
    # doctest finds no example outside of the docstrings of modules, classes and functions
    assert attempted == examples_in(Path(str(module.__file__)))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_examples_of_a_page_are_correct(page: Path) -> None:
    failed, _ = doctest.testfile(str(page), module_relative=False, optionflags=FLAGS)
    assert failed == 0


def test_modules_with_examples_are_found() -> None:
    assert "metabench.stats.intervals" in {name for _, name in MODULES}
    assert len(MODULES) > 15
