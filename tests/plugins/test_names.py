"""Two plugins that provide the same name."""

from __future__ import annotations

from tests.helpers.plugin_site import Site

ALGORITHM = """
from metabench import Spec, hookimpl

@hookimpl
def metabench_algorithms():
    return [Spec("{name}", "{module}:Mine", summary="that of {module}")]
"""


def add(site: Site, distribution: str, algorithm: str, *, entry: str = "") -> None:
    module = distribution.replace("-", "_")
    source = ALGORITHM.format(name=algorithm, module=module)
    site.add(entry or distribution, source, distribution=distribution, module=module)


def test_a_built_in_name_stays_built_in(site: Site) -> None:
    add(site, "aaa", "maml")
    plugins = site.load()

    assert plugins.registry.get("algorithm", "maml").distribution == "metabench"
    assert plugins.registry.get("algorithm", "metabench:maml").distribution == "metabench"
    assert plugins.registry.get("algorithm", "aaa:maml").distribution == "aaa"
    assert plugins.registry.match("algorithm", ["*:maml"]) == ["aaa:maml"]
    (info,) = [i for i in plugins.infos if i.name == "aaa"]
    assert info.status == "ok"
    assert info.provides == {"algorithms": ["aaa:maml"]}
    assert (
        info.reason == "'metabench' already provides the algorithm 'maml'; this one is 'aaa:maml'"
    )


def test_of_two_plugins_the_first_has_the_plain_name(site: Site) -> None:
    add(site, "dist-b", "new")
    add(site, "dist-a", "new")
    plugins = site.load()

    assert plugins.registry.get("algorithm", "new").distribution == "dist-a"
    assert plugins.registry.get("algorithm", "dist-a:new").name == "new"
    assert plugins.registry.get("algorithm", "dist-b:new").name == "dist-b:new"
    assert plugins.registry.match("algorithm", ["dist-a:new", "dist-b:new"]) == [
        "dist-b:new",
        "new",
    ]
    (info,) = [i for i in plugins.infos if i.name == "dist-b"]
    assert info.reason == "'dist-a' already provides the algorithm 'new'; this one is 'dist-b:new'"


def test_two_entry_points_of_one_name_both_load(site: Site) -> None:
    add(site, "dist-a", "new-a", entry="same")
    add(site, "dist-b", "new-b", entry="same")
    rows = [row for row in site.json("plugins") if row["name"] == "same"]

    assert [row["distribution"] for row in rows] == ["dist-a", "dist-b"]
    assert [row["status"] for row in rows] == ["ok", "ok"]
    assert [row["provides"] for row in rows] == [
        {"algorithms": ["new-a"]},
        {"algorithms": ["new-b"]},
    ]


def test_two_distributions_of_one_module_are_an_error(site: Site) -> None:
    source = ALGORITHM.format(name="new", module="shared")
    site.add("one", source, distribution="dist-a", module="shared")
    site.add("two", source, distribution="dist-b", module="shared")
    reasons = {info.name: info.reason for info in site.load().infos}

    assert reasons["one"] == ""
    assert reasons["two"] == "its module is already loaded as plugin 'one' of 'dist-a'"


def test_the_same_distribution_twice_on_the_path_is_one_plugin(site: Site, monkeypatch) -> None:
    other = Site(site.path.parent / "other", site.cache)
    add(site, "dist-a", "new")
    add(other, "dist-a", "new")
    paths = f"{site.path}:{other.path}"
    rows = [row for row in site.json("plugins", PYTHONPATH=paths) if row["name"] == "dist-a"]

    assert len(rows) == 1
    assert rows[0]["provides"] == {"algorithms": ["new"]}
