"""The doctests of the report package."""

import doctest
import importlib
import pkgutil

import pytest

import metabench.report

MODULES = [m.name for m in pkgutil.walk_packages(metabench.report.__path__, "metabench.report.")]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_are_true(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
