"""Executors of plugins run cells as the built-in ones do, and a broken one loses no cell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from metabench.config import Resources, Selection
from metabench.errors import PluginError, UsageError
from metabench.plugins import PluginInfo, Plugins
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.running.plan import plan
from tests.helpers.cells import run_planned
from tests.helpers.plugin_site import Site

EXECUTORS = """
import sys
from metabench import Executor, MetabenchError, Spec, hookimpl

class Good(Executor):
    "One after the other, with a word about each."
    name = "zoo-good"
    def run(self, jobs):
        for job in jobs:
            print("at", job.cell.title)
            yield job.run(self.terms.registry)

class Backwards(Good):
    name = "zoo-backwards"
    def run(self, jobs):
        return super().run(list(jobs)[::-1])

class Raises(Good):
    name = "zoo-raises"
    def run(self, jobs):
        raise RuntimeError("no luck")

class RaisesLate(Good):
    name = "zoo-raises-late"
    def run(self, jobs):
        yield from super().run(jobs[:1])
        raise RuntimeError("no luck")

class RaisesAtEnd(Good):
    name = "zoo-raises-at-end"
    def run(self, jobs):
        yield from super().run(jobs)
        raise RuntimeError("no luck")

class Exits(Good):
    name = "zoo-exits"
    def run(self, jobs):
        yield from super().run(jobs[:1])
        sys.exit(7)

class Forgets(Good):
    name = "zoo-forgets"
    def run(self, jobs):
        yield from super().run(jobs[:1])

class ReturnsNone(Good):
    name = "zoo-returns-none"
    def run(self, jobs):
        return None

class GivesText(Good):
    name = "zoo-gives-text"
    def run(self, jobs):
        yield "done"

class GivesTwice(Good):
    name = "zoo-gives-twice"
    def run(self, jobs):
        (record,) = super().run(jobs[:1])
        yield record
        yield record

class OddEvent(Good):
    name = "zoo-odd-event"
    def run(self, jobs):
        self.terms.on_event(jobs[0].cell, {})
        yield from super().run(jobs)

class InInit(Good):
    name = "zoo-in-init"
    def __init__(self, terms):
        raise RuntimeError("no luck")

class Refuses(Good):
    name = "zoo-refuses"
    def __init__(self, terms):
        raise MetabenchError("the cluster does not answer.")

class GivesUp(Good):
    name = "zoo-gives-up"
    def run(self, jobs):
        yield from super().run(jobs[:1])
        raise MetabenchError("the cluster is gone.")

class Interrupted(Good):
    name = "zoo-interrupted"
    def run(self, jobs):
        yield from super().run(jobs[:1])
        yield jobs[1].ended("interrupted", "Ctrl-C")
        raise KeyboardInterrupt

def no_executor(terms):
    return 3

@hookimpl
def metabench_executors():
    return [
        *(v for v in list(globals().values()) if isinstance(v, type) and hasattr(v, "name")),
        Spec("zoo-no-executor", no_executor),
        Spec("zoo-no-module", "zoo_nowhere:X"),
    ]
"""

LOSES = {
    "zoo-raises": (0, "failed: RuntimeError: no luck (site/zoo_executors.py, line "),
    "zoo-raises-late": (1, "failed: RuntimeError: no luck (site/zoo_executors.py, line "),
    "zoo-raises-at-end": (2, "failed: RuntimeError: no luck"),
    "zoo-exits": (1, "failed: it called sys.exit(7)"),
    "zoo-forgets": (1, "yielded no record of this cell"),
    "zoo-returns-none": (0, "failed: TypeError: 'NoneType' object is not iterable"),
    "zoo-gives-text": (0, "yielded 'done', which is not the record of a waiting cell"),
    "zoo-gives-twice": (1, "which is not the record of a waiting cell"),
    "zoo-odd-event": (0, "failed: TypeError: {} is not an event of a cell"),
}
"""How many of two cells each runs, and the reason of the others."""

INVALID = {
    "zoo-in-init": "executor 'zoo-in-init' of 'zoo-executors' cannot be constructed: "
    "RuntimeError: no luck",
    "zoo-no-executor": "executor 'zoo-no-executor' of 'zoo-executors' is 3, which has no `run`",
    "zoo-no-module": "'zoo-no-module' of 'zoo-executors' cannot be imported: ModuleNotFoundError",
}


@pytest.fixture
def plugins(site: Site, tiny: str) -> Plugins:
    site.add("executors", EXECUTORS)
    return site.load()


def run_on(executor: str, plugins: Plugins, tiny: str, results: Path) -> list[Record]:
    """Run two cells on an executor."""
    planned = plan(
        plugins.registry, Selection(algorithm=("nearest-mean", "random"), benchmark=(tiny,)), []
    )
    return run_planned(planned, plugins, ResultsFolder(results), Resources(executor=executor))


def info_of(plugins: Plugins) -> PluginInfo:
    (info,) = [info for info in plugins.infos if info.name == "executors"]
    return info


@pytest.mark.parametrize("name", ["zoo-good", "zoo-backwards"])
def test_its_records_equal_those_of_the_built_in_one(
    name: str, plugins: Plugins, tiny: str, tmp_path: Path
) -> None:
    found = run_on(name, plugins, tiny, tmp_path / "theirs")
    wanted = run_on("in-process", plugins, tiny, tmp_path / "ours")
    assert [r.status for r in found] == ["ok", "ok"]
    assert [r.key for r in found] == [r.key for r in wanted]
    assert [r.metrics["accuracy"] for r in found] == [r.metrics["accuracy"] for r in wanted]
    assert info_of(plugins).status == "ok"


@pytest.mark.parametrize("name", LOSES)
def test_a_cell_that_it_loses_is_a_record_with_the_reason(
    name: str, plugins: Plugins, tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ran, reason = LOSES[name]
    records = run_on(name, plugins, tiny, tmp_path)
    assert [r.status for r in records] == ["ok"] * ran + ["broken-plugin"] * (2 - ran)
    for record in records[ran:]:
        assert record.reason.startswith(f"executor '{name}' of 'zoo-executors' ")
        assert reason in record.reason
    stored, unreadable = ResultsFolder(tmp_path).load()
    assert (len(stored), unreadable) == (2, [])
    assert info_of(plugins).status == "broken"
    assert (
        f"warning: plugin 'executors' of 'zoo-executors': executor '{name}'"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_executor_is_an_error_before_anything_runs(
    name: str, plugins: Plugins, tiny: str, tmp_path: Path
) -> None:
    with pytest.raises(PluginError) as caught:
        run_on(name, plugins, tiny, tmp_path)
    assert caught.value.message.startswith(INVALID[name])
    assert ResultsFolder(tmp_path).load() == ([], [])


def test_an_executor_that_raises_a_metabench_error_is_not_broken(
    plugins: Plugins, tiny: str, tmp_path: Path
) -> None:
    with pytest.raises(Exception, match=r"the cluster does not answer\."):
        run_on("zoo-refuses", plugins, tiny, tmp_path)
    with pytest.raises(Exception, match=r"the cluster is gone\."):
        run_on("zoo-gives-up", plugins, tiny, tmp_path)
    assert [r.status for r in ResultsFolder(tmp_path).load()[0]] == ["ok"], (
        "what was finished is kept"
    )
    assert info_of(plugins).status == "ok"


def test_an_interrupt_is_raised_and_finished_cells_are_kept(
    plugins: Plugins, tiny: str, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_on("zoo-interrupted", plugins, tiny, tmp_path)
    statuses = {r.algorithm.name: r.status for r in ResultsFolder(tmp_path).load()[0]}
    assert statuses == {"nearest-mean": "ok", "random": "interrupted"}


@pytest.mark.parametrize("executor", ["in-process", "processes"])
@pytest.mark.parametrize("error", [BrokenPipeError("the terminal is gone"), SystemExit(1)])
def test_an_error_or_exit_of_a_watcher_is_not_one_of_the_executor(
    plugins: Plugins,
    tiny: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    executor: str,
    error: BaseException,
) -> None:
    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(plugins, "notify", fail)
    with pytest.raises(type(error)):
        run_on(executor, plugins, tiny, tmp_path)
    assert "metabench" not in {info.name for info in plugins.broken}
    assert ResultsFolder(tmp_path).load() == ([], [])


def test_a_time_limit_in_this_process_is_an_error(
    plugins: Plugins, tiny: str, tmp_path: Path
) -> None:
    planned = plan(plugins.registry, Selection(algorithm=("random",), benchmark=(tiny,)), [])
    resources = Resources(executor="in-process", timeout=1.0)
    with pytest.raises(UsageError, match="a time limit needs worker processes"):
        run_planned(planned, plugins, ResultsFolder(tmp_path), resources)


def test_the_command_line_lists_it_and_runs_on_it(site: Site, tiny: str, tmp_path: Path) -> None:
    site.add("executors", EXECUTORS)
    rows = {row["name"]: row for row in site.json("list", "executors")}
    assert {"processes", "in-process"} <= rows.keys()
    assert rows["zoo-good"]["distribution"] == "zoo-executors"
    assert rows["zoo-good"]["summary"] == "One after the other, with a word about each."

    run = ["run", "-a", "random", "-b", tiny, "--results", tmp_path / "r"]
    done = site.metabench(*run, "--executor", "zoo-good", "--json")
    (row,) = json.loads(done.stdout)
    assert row["status"] == "ok"
    assert f"at random on {tiny}, seed 0" in done.stderr, "what it prints is not on stdout"

    config = tmp_path / "run.toml"
    config.write_text('executor = "zoo-raises"')
    (row,) = site.json(*run, "--fresh", "--config", config, code=1)
    assert row["status"] == "broken-plugin"
    error = site.metabench(*run, "--dry-run", "--executor", "zoo-god", code=2).stderr
    assert "unknown executor 'zoo-god'. Did you mean 'zoo-good'?" in error
