"""An invalid suite of a plugin does not affect the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from metabench.benchmarks.model import load_suites
from tests.helpers.plugin_site import Site

SUITE = """
name = "{name}"
[[benchmark]]
name = "{benchmark}"
dataset = "glyphs"
ways = {ways}
shots = 1
backbone = "conv4"
budget = 1000
metrics = ["accuracy"]
"""
BENCHMARK: dict[str, Any] = {"name": "theirs", "benchmark": "theirs-5w1s", "ways": 5}


def add_suite(site: Site, text: str, *, plugin: str = "theirs") -> None:
    (site.path / f"{plugin}.toml").write_text(text)
    site.add(
        plugin,
        f"""
        from pathlib import Path
        from metabench import hookimpl

        @hookimpl
        def metabench_suites():
            return [Path(__file__).with_name("{plugin}.toml")]
        """,
    )


WRONG = {
    "no TOML": ("name = ", "cannot be read"),
    "not text": ("\udcff", "cannot be read"),
    "unknown key": ('colour = "red"\n' + SUITE.format(**BENCHMARK), "colour: there is no such key"),
    "one way": (SUITE.format(**BENCHMARK | {"ways": 1}), "an episode has at least 2 ways"),
    "a benchmark of another suite": (
        SUITE.format(**BENCHMARK | {"benchmark": "glyphs-5w1s"}),
        "two suites define the benchmark 'glyphs-5w1s' differently",
    ),
    "another name than its file": (
        SUITE.format(**BENCHMARK | {"name": "core"}),
        "has the name 'core', which must be that of the file",
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_an_invalid_suite_is_omitted_and_its_plugin_is_broken(
    site: Site, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, reason = WRONG[wrong]
    add_suite(site, "")
    (site.path / "theirs.toml").write_text(text, errors="surrogateescape")
    plugins = site.load()
    suites = load_suites(plugins.registry)

    assert "core" in suites
    assert "theirs" not in suites
    (info,) = [i for i in plugins.infos if i.name == "theirs"]
    assert info.status == "broken"
    assert f"suite 'theirs' is omitted: {reason}".split(": ")[0] in info.reason
    assert reason in info.reason
    assert reason in capsys.readouterr().err


def test_the_command_line_goes_on_with_the_others(site: Site) -> None:
    add_suite(site, "name = ")
    suites = site.metabench("list", "suites", "--json")
    assert '"core"' in suites.stdout
    assert "warning: plugin 'theirs' of 'zoo-theirs': suite 'theirs' is omitted" in suites.stderr
    (row,) = [r for r in site.json("plugins") if r["name"] == "theirs"]
    assert row["status"] == "broken"
    site.metabench("--strict", "list", "suites", code=4)


def test_a_missing_file_is_omitted_too(site: Site) -> None:
    add_suite(site, "")
    Path(site.path / "theirs.toml").unlink()
    assert "core" in load_suites(site.load().registry)


def test_two_suites_of_one_name_are_both_listed(site: Site) -> None:
    add_suite(site, SUITE.format(**BENCHMARK | {"name": "core"}), plugin="core")
    suites = load_suites(site.load().registry)
    assert [b.name for b in suites["zoo-core:core"].benchmark] == ["theirs-5w1s"]
    assert "theirs-5w1s" not in [b.name for b in suites["core"].benchmark]
