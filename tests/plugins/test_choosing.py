"""Which plugins are loaded: METABENCH_PLUGINS, METABENCH_NO_PLUGINS and --no-plugin."""

from __future__ import annotations

import pytest

from metabench.errors import UnknownName, UsageError
from tests.helpers.plugin_site import Site


@pytest.fixture
def three(site: Site) -> Site:
    """Three plugins, each of which creates a file when it is imported."""
    for name in ("a", "b", "c"):
        site.add(
            name,
            """
            from pathlib import Path
            from metabench import hookimpl
            Path(__file__).with_suffix(".imported").touch()

            @hookimpl
            def metabench_algorithms():
                return []
            """,
        )
    return site


def statuses(site: Site, *options: str, **environment: str) -> dict[str, tuple[str, str]]:
    rows = site.json(*options, "plugins", **environment)
    return {r["name"]: (r["status"], r["reason"]) for r in rows if r["name"] in ("a", "b", "c")}


def imported(site: Site) -> set[str]:
    return {path.stem.removeprefix("zoo_") for path in site.path.glob("*.imported")}


def test_only_the_named_plugins_are_loaded(three: Site) -> None:
    not_named = ("blocked", "not in METABENCH_PLUGINS")
    found = statuses(three, METABENCH_PLUGINS="a, zoo-c")
    assert found == {"a": ("ok", ""), "b": not_named, "c": ("ok", "")}
    assert imported(three) == {"a", "c"}


def test_an_empty_list_loads_only_metabench(three: Site) -> None:
    rows = three.json("plugins", METABENCH_PLUGINS="")
    assert [row["name"] for row in rows if row["status"] == "ok"] == ["metabench"]
    assert imported(three) == set()


def test_the_named_plugins_are_excluded(three: Site) -> None:
    left_out = ("blocked", "excluded by --no-plugin or METABENCH_NO_PLUGINS")
    found = statuses(three, "--no-plugin", "zoo-b:b", METABENCH_NO_PLUGINS="a")
    assert found == {"a": left_out, "b": left_out, "c": ("ok", "")}
    assert imported(three) == {"c"}


def test_an_unknown_plugin_is_an_error(three: Site) -> None:
    error = three.metabench("--no-plugin", "bb", "list", code=2, METABENCH_PLUGINS="a,b,c").stderr
    assert "unknown plugin 'bb'" in error
    assert "Installed are " in error
    with pytest.raises(UnknownName, match="unknown plugin 'd'"):
        three.load(only=["a", "d"])


def test_metabench_itself_cannot_be_excluded(three: Site) -> None:
    with pytest.raises(UsageError, match="not a plugin that can be excluded"):
        three.load(without=["metabench"])


def test_an_excluded_plugin_is_not_broken(site: Site) -> None:
    site.add("bad", "raise RuntimeError")
    assert site.load(without=["bad"]).broken == []
    assert [info.name for info in site.load().broken] == ["bad"]
