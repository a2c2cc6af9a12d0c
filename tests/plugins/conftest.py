"""A site for plugins, and a very small benchmark."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.plugin_site import Site


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def site(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """An empty site on this process's path too; modules imported from it are removed afterwards."""
    place = tmp_path / "site"
    place.mkdir()
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("METABENCH_CACHE", str(cache))
    before = set(sys.modules)
    yield Site(place, cache)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(place)):
            del sys.modules[name]


TINY_SUITE = """
name = "tiny"
[[benchmark]]
name = "tiny-2w1s"
dataset = "glyphs"
ways = 2
shots = 1
queries = 2
backbone = "conv4"
budget = 100
test_episodes = 5
validation_episodes = 2
metrics = ["accuracy", "cost"]
"""


@pytest.fixture
def tiny(site: Site) -> str:
    """The name of a very small benchmark, from a plugin's suite."""
    (site.path / "tiny.toml").write_text(TINY_SUITE)
    site.add(
        "tiny",
        """
        from pathlib import Path
        from metabench import hookimpl

        @hookimpl
        def metabench_suites():
            return [Path(__file__).with_name("tiny.toml")]
        """,
    )
    return "tiny-2w1s"
