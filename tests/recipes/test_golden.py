"""The default recipes set the values with which the records of the leaderboards were made."""

from __future__ import annotations

from typing import Any

import pytest

from tests.recipes import golden

REGISTRY = golden.built_in()


def stored(algorithm: str) -> dict[str, dict[str, Any]]:
    return {title: values for name, title, values in golden.read() if name == algorithm}


def test_the_table_has_every_built_in_on_every_benchmark() -> None:
    titles = [benchmark.title for benchmark in golden.benchmarks(REGISTRY)]
    everything = {(name, title) for name in REGISTRY.names("algorithm") for title in titles}
    assert {(name, title) for name, title, _ in golden.read()} == everything


@pytest.mark.parametrize("name", REGISTRY.names("algorithm"))
def test_the_default_recipe_sets_the_stored_values(name: str) -> None:
    spec = REGISTRY.get("algorithm", name)
    values = stored(name)
    for benchmark in golden.benchmarks(REGISTRY):
        found, wanted = golden.differences(REGISTRY, spec, benchmark), values[benchmark.title]
        assert found == wanted, benchmark.title
        # 1 == 1.0 == True in Python, and not in the key of a record.
        assert {k: type(v) for k, v in found.items()} == {k: type(v) for k, v in wanted.items()}
