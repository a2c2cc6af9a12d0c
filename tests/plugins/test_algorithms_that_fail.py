"""An error of a plugin's algorithm, backbone or data set is in the row of its own cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from metabench.api import Results
from metabench.config import Resources, Selection
from metabench.errors import PluginError
from metabench.leaderboard.rows import LeaderboardRow
from metabench.plugins import Plugins
from metabench.records.store import ResultsFolder
from metabench.running.plan import plan
from tests.helpers.cells import run_planned
from tests.helpers.plugin_site import Site

FAILING = """
import sys
from metabench import Algorithm, Spec, hookimpl
from metabench.algorithms.nearest_mean import NearestMean

class InInit(NearestMean):
    name = "in-init"
    def __init__(self, problem):
        raise RuntimeError("no luck")

class WithoutSuper(NearestMean):
    name = "without-super"
    def __init__(self, problem):
        pass

class InAdapt(Algorithm):
    name = "in-adapt"
    def adapt(self, support):
        raise RuntimeError("no luck")

class InPredict(Algorithm):
    name = "in-predict"
    def adapt(self, support):
        return lambda query: None

class Exits(Algorithm):
    name = "exits"
    def adapt(self, support):
        sys.exit(7)

class Abstract(Algorithm):
    name = "abstract"

class NoAlgorithm:
    name = "no-algorithm"

class InRecipe(NearestMean):
    name = "in-recipe"
    @classmethod
    def recipe(cls, problem):
        raise RuntimeError("no luck")

class NoDefault(NearestMean):
    name = "no-default"
    def __init__(self, problem, *, width):
        super().__init__(problem)

class OddDefault(NearestMean):
    name = "odd-default"
    def __init__(self, problem, *, width=(3, 4)):
        super().__init__(problem)

class OddAnnotation(NearestMean):
    name = "odd-annotation"
    def __init__(self, problem: "NotImported", *, width: int = 1):
        super().__init__(problem)

class NumberVersion(NearestMean):
    name = "number-version"
    version = 2
    library = None

@hookimpl
def metabench_algorithms():
    return [
        *(v for v in list(globals().values())
          if isinstance(v, type) and v.__module__ == __name__ and hasattr(v, "name")),
        Spec("no-module", "zoo_nowhere:X"),
        Spec("no-attribute", "zoo_failing:X"),
        Spec("exits-at-import", "zoo_exits:X"),
    ]

@hookimpl
def metabench_backbones():
    return [Spec("bad-backbone", "zoo_nowhere:X")]

@hookimpl
def metabench_datasets():
    return [Spec("bad-dataset", "zoo_failing:make_dataset"), Spec("no-dataset", "zoo_nowhere:X")]

def make_dataset(root):
    raise RuntimeError("no luck")
"""

ROWS = {
    "in-init": ("failed", "RuntimeError: no luck"),
    "without-super": ("failed", "AttributeError"),
    "in-adapt": ("failed", "RuntimeError: no luck"),
    "in-predict": ("failed", ""),
    "exits": ("failed", "it called sys.exit(7)"),
    "abstract": ("failed", "TypeError: Can't instantiate abstract class"),
    "no-algorithm": ("broken-plugin", "does not derive from metabench.Algorithm"),
    "in-recipe": ("broken-plugin", "RuntimeError: no luck (site/zoo_failing.py, line "),
    "no-default": ("broken-plugin", "hyper-parameter 'width' of 'no-default' has no default"),
    "odd-default": ("broken-plugin", "'width' of 'odd-default' has the value (3, 4); it must be"),
    "odd-annotation": ("broken-plugin", "NameError: name 'NotImported' is not defined"),
    "no-module": (
        "broken-plugin",
        "'no-module' of 'zoo-failing' cannot be imported: ModuleNotFoundError",
    ),
    "no-attribute": ("broken-plugin", "AttributeError: module 'zoo_failing' has no attribute 'X'"),
    "exits-at-import": ("broken-plugin", "it called sys.exit('gone')"),
    "wholly-broken": ("broken-plugin", "its plugin is broken: RuntimeError: no luck"),
    "number-version": ("ok", ""),
    "nearest-mean": ("ok", ""),
    "protonet": ("ok", ""),
}


def run_here(
    plugins: Plugins, algorithms: list[str], benchmark: str, results: Path
) -> dict[str, LeaderboardRow]:
    """Run in this process and return the rows of the leaderboard."""
    selection = Selection(algorithm=tuple(algorithms), benchmark=(benchmark,))
    planned = plan(plugins.registry, selection, [], broken=plugins.registry.broken)
    records = run_planned(
        planned, plugins, ResultsFolder(results), Resources(executor="in-process")
    )
    assert len(records) == len(planned)
    return {row.algorithm: row for row in Results(records).leaderboard().rows}


def test_each_failure_is_a_row_with_its_reason_and_the_others_run(
    site: Site, tiny: str, tmp_path: Path
) -> None:
    site.add("failing", FAILING)
    site.add("wholly-broken", "raise RuntimeError('no luck')")
    (site.path / "zoo_exits.py").write_text("raise SystemExit('gone')")
    names = [name for name in ROWS if name != "wholly-broken"]
    rows = run_here(site.load(), names, tiny, tmp_path / "results")

    assert {name: row.status for name, row in rows.items()} == {
        name: s for name, (s, _) in ROWS.items()
    }
    for name, (_, reason) in ROWS.items():
        assert reason in rows[name].reason, name


def test_a_dry_run_of_all_shows_the_row_of_a_broken_plugin(site: Site, tiny: str) -> None:
    site.add("bad", "raise RuntimeError('no luck')")
    rows = site.json("run", "--all", "-b", tiny, "--dry-run")
    (why,) = [r["why"] for r in rows if r["algorithm"] == "bad"]
    assert why.startswith("its plugin is broken: RuntimeError: no luck (")
    assert {"maml", "nearest-mean"} <= {r["algorithm"] for r in rows}


def test_a_data_set_that_fails_is_listed_with_the_others(site: Site) -> None:
    site.add("failing", FAILING)
    statuses = {row["name"]: row["status"] for row in site.json("data", "list")}
    assert statuses["glyphs"] == "embedded"
    assert statuses["bad-dataset"].startswith("broken: RuntimeError: no luck")
    assert statuses["no-dataset"].startswith(
        "broken: 'no-dataset' of 'zoo-failing' cannot be imported"
    )


@pytest.mark.parametrize("dataset", ["bad-dataset", "no-dataset"])
def test_a_benchmark_on_a_data_set_that_fails_is_an_error_of_its_plugin(
    site: Site, tiny: str, dataset: str, tmp_path: Path
) -> None:
    site.add("failing", FAILING)
    suite = site.path / "tiny.toml"
    suite.write_text(suite.read_text().replace('"glyphs"', f'"{dataset}"'))
    with pytest.raises(PluginError, match=dataset):
        run_here(site.load(), ["nearest-mean"], tiny, tmp_path)
