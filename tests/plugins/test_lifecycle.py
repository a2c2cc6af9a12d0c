"""The life-cycle hooks, and a plugin whose hooks raise."""

from __future__ import annotations

import json
from pathlib import Path

from tests.helpers.plugin_site import Site

TRACKER = """
import json
from pathlib import Path
from metabench import hookimpl

def note(**what):
    with Path(__file__).with_suffix(".jsonl").open("a") as file:
        file.write(json.dumps(what) + "\\n")

@hookimpl
def metabench_cell_started(cell):
    note(started=cell)

@hookimpl
def metabench_cell_finished(record):
    note(finished=[record["algorithm"]["name"], record["status"], len(record["metrics"])])
"""

SPOILER = """
import sys
from metabench import Algorithm, hookimpl
print("at import")

class Loud(Algorithm):
    name = "loud"

    @classmethod
    def recipe(cls, problem):
        print("in the recipe")
        return {}

    def adapt(self, support):
        print("in adapt")
        means = support.class_means(support.x.flatten(1))
        return lambda query: query.flatten(1) @ means.T

@hookimpl
def metabench_algorithms():
    return [Loud]

@hookimpl
def metabench_cell_started(cell):
    print("when a cell starts")
    cell.clear()
    raise RuntimeError("no luck")

@hookimpl
def metabench_cell_finished(record):
    record.clear()
    sys.exit(5)
"""

ABSENT = """
from pathlib import Path
Path(__file__).with_suffix(".imported").touch()
"""


def test_a_hook_that_raises_is_reported_once_and_the_run_goes_on(
    site: Site, tiny: str, tmp_path: Path
) -> None:
    site.add("aaa-spoiler", SPOILER)
    site.add("tracker", TRACKER)
    site.add("unwanted", ABSENT)
    run = [
        "run",
        "-a",
        "loud",
        "-b",
        tiny,
        "--seeds",
        "2",
        "--jobs",
        "1",
        "--results",
        tmp_path / "r",
    ]
    done = site.metabench("--no-plugin", "unwanted", *run, "--json")

    (row,) = json.loads(done.stdout)
    assert (row["algorithm"], row["status"], row["seeds"]) == ("loud", "ok", 2)
    for where in ("at import", "in the recipe", "when a cell starts"):
        assert where in done.stderr
    plugin = "plugin 'aaa-spoiler' of 'zoo-aaa-spoiler'"
    warning = f"warning: {plugin}: metabench_cell_started failed: RuntimeError"
    assert done.stderr.count(warning) == 1, "it is said once and not for every cell"
    assert "metabench_cell_finished failed: it called sys.exit(5)" in done.stderr

    notes = [
        json.loads(line) for line in (site.path / "zoo_tracker.jsonl").read_text().splitlines()
    ]
    assert notes == [
        {"started": {"algorithm": "loud", "benchmark": tiny, "seed": 0}},
        {"finished": ["loud", "ok", 2]},
        {"started": {"algorithm": "loud", "benchmark": tiny, "seed": 1}},
        {"finished": ["loud", "ok", 2]},
    ]
    assert not list(site.path.glob("*.imported")), "no process imported the excluded plugin"
