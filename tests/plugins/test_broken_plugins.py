"""A broken plugin never breaks the program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from metabench.errors import PluginError, UnknownName
from metabench.plugins import PluginInfo
from tests.helpers.plugin_site import Site

HOOK = "from metabench import hookimpl\n@hookimpl\ndef metabench_algorithms():\n"

BROKEN = {
    "no-import": (
        "import nothing_of_this_name",
        "ModuleNotFoundError: No module named 'nothing_of",
    ),
    "syntax": ("def x(:", "SyntaxError: "),
    "raises-at-import": (
        "raise RuntimeError('no luck')",
        "RuntimeError: no luck (site/zoo_raises_at_import.py",
    ),
    "exits-at-import": ("import sys\nsys.exit(3)", "it called sys.exit(3)"),
    "no-message": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\nraise Odd",
        "Odd: (its message cannot be shown)",
    ),
    "raises": (HOOK + "    raise KeyError('x')", "KeyError: 'x' (site/zoo_raises.py, line 4)"),
    "raises-late": (HOOK + "    yield from ()\n    1 / 0", "ZeroDivisionError: division by zero"),
    "exits": (HOOK + "    raise SystemExit('bye')", "it called sys.exit('bye')"),
    "misspelt": (
        HOOK.replace("algorithms", "algoritms") + "    return []",
        "'metabench_algoritms' is not a hook; the hooks are metabench_algorithms, ",
    ),
    "unmarked": ("def metabench_algorithms():\n    return []", "put @metabench.hookimpl above it"),
    "wrong-arguments": (HOOK.replace("()", "(config)") + "    return []", "Argument(s) {'config'}"),
    "returns-none": (
        HOOK + "    return None",
        "metabench_algorithms returned None, which is not a list",
    ),
    "returns-text": (
        HOOK + "    return 'maml'",
        "metabench_algorithms returned 'maml', which is not a list",
    ),
    "returns-numbers": (HOOK + "    return [1]", "returned 1, which is neither a class nor a Spec"),
    "no-name": (HOOK + "    return [dict]", "returned <class 'dict'>, which has no `name`"),
    "number-name": (
        HOOK + "    return [type('X', (), {'name': 5})]",
        "which has the `name` 5; a name consists of",
    ),
    "bad-name": (
        HOOK + "    return [type('X', (), {'name': 'a b'})]",
        "which has the `name` 'a b'; a name consists of",
    ),
    "bad-target": (
        "from metabench import Spec\n" + HOOK + "    return [Spec('x', 'no colon')]",
        "returned 'x' with the target 'no colon', which is neither",
    ),
    "twice": (
        "from metabench import Spec\n" + HOOK + "    return [Spec('x', 'a:b'), Spec('x', 'a:c')]",
        "metabench_algorithms returned two entries with the name 'x'",
    ),
    "bad-suite": (
        HOOK.replace("algorithms", "suites") + "    return [3]",
        "which is not the path of a TOML",
    ),
    "good": (HOOK + "    return [type('Good', (), {'name': 'zoo-good'})]", ""),
}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Site:
    """All broken plugins at once, and a valid one."""
    site = Site(tmp_path_factory.mktemp("zoo") / "site", cache)
    for name, (source, _) in BROKEN.items():
        site.add(name, source)
    site.add("newer", "raise AssertionError('it must not be imported')", requires="metabench>=99")
    site.add("extra", HOOK + "    return []", requires='MetaBench>=99; extra == "future"')
    site.add("no-metadata", metadata="")
    return site


@pytest.fixture(scope="module")
def rows(zoo: Site) -> dict[str, dict[str, Any]]:
    """The row of each in ``metabench plugins --json``."""
    return {row["name"]: row for row in zoo.json("plugins")}


@pytest.mark.parametrize("name", BROKEN)
def test_each_is_shown_with_its_reason(rows: dict[str, dict[str, Any]], name: str) -> None:
    _, reason = BROKEN[name]
    assert rows[name]["distribution"] == f"zoo-{name}"
    assert rows[name]["version"] == "1.0"
    assert rows[name]["status"] == ("broken" if reason else "ok")
    assert reason in rows[name]["reason"]
    assert "\n" not in rows[name]["reason"]


def test_the_other_plugins_are_not_affected(rows: dict[str, dict[str, Any]]) -> None:
    assert rows["good"]["provides"] == {"algorithms": ["zoo-good"]}
    assert rows["metabench"]["status"] == "ok"
    assert "maml" in rows["metabench"]["provides"]["algorithms"]


def test_a_plugin_that_needs_a_newer_metabench_is_not_imported(rows: dict[str, Any]) -> None:
    assert rows["newer"]["status"] == "broken"
    assert rows["newer"]["reason"].startswith("it needs metabench>=99, and this is ")
    assert rows["extra"]["status"] == "ok", (
        "a requirement of an extra that is not asked for does not count"
    )


def test_a_plugin_with_damaged_metadata_is_shown(rows: dict[str, Any]) -> None:
    assert rows["zoo_no_metadata"]["status"] == "broken"
    assert "the metadata in '" in rows["zoo_no_metadata"]["reason"]


def test_a_plugin_with_damaged_metadata_can_be_excluded(zoo: Site) -> None:
    rows = zoo.json("--no-plugin", "zoo_no_metadata", "plugins")
    assert [r["status"] for r in rows if r["name"] == "zoo_no_metadata"] == ["blocked"]


def test_listing_algorithms_works(zoo: Site) -> None:
    names = [row["name"] for row in zoo.json("list", "algorithms")]
    assert {"maml", "nearest-mean", "zoo-good"} <= set(names)


def test_strict_is_an_error_that_names_one(zoo: Site) -> None:
    error = zoo.metabench("--strict", "list", code=4).stderr
    assert "plugins are broken" in error
    assert "`metabench plugins` shows all of them" in error
    assert zoo.metabench("--strict", "plugins", code=4).stdout, "the list is shown before the error"


def test_strict_succeeds_if_no_plugin_is_broken(site: Site) -> None:
    site.add("good", HOOK + "    return []")
    site.metabench("--strict", "plugins", METABENCH_PLUGINS="good")


def test_a_selected_algorithm_of_a_broken_plugin_is_an_error_with_the_reason(zoo: Site) -> None:
    error = zoo.metabench("run", "-a", "no-import", code=4).stderr
    assert (
        "algorithm 'no-import' cannot be used: its plugin is broken: ModuleNotFoundError" in error
    )


def test_a_selected_algorithm_that_needs_a_newer_metabench_is_an_error_with_the_reason(
    site: Site,
) -> None:
    site.add("newer", requires="metabench>=99")
    with pytest.raises(PluginError, match="its plugin is broken: it needs metabench>=99") as caught:
        site.load().registry.match("algorithm", ["newer"])
    assert caught.value.exit_code == 4


def test_algorithms_that_were_listed_before_the_error_are_known(site: Site) -> None:
    site.add(
        "half",
        HOOK + "    return [type('A', (), {'name': 'half-a'}), type('B', (), {'name': 'half-b'})]\n"
        "@hookimpl\ndef metabench_metrics():\n    return None",
    )
    registry = site.load().registry
    assert set(registry.broken) == {"half-a", "half-b"}
    for asked in ("half-a", "half-*", "zoo-half:half-a"):
        with pytest.raises(PluginError, match="metabench_metrics returned None"):
            registry.match("algorithm", [asked])


def test_the_error_of_an_unknown_name_lists_the_broken_plugins(site: Site) -> None:
    site.add("shy", "raise RuntimeError('no luck')")
    with pytest.raises(UnknownName, match="unknown metric 'bold'") as caught:
        site.load().registry.get("metric", "bold")
    assert "Plugin 'shy' may provide it, and is broken: RuntimeError: no luck" in caught.value.hint


def test_a_broken_plugin_does_not_hide_an_algorithm_of_its_name(site: Site) -> None:
    site.add("maml", "raise RuntimeError")
    registry = site.load().registry
    assert registry.get("algorithm", "maml").distribution == "metabench"
    assert list(registry.broken) == ["zoo-maml:maml"]


def test_a_slow_import_is_noted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metabench.plugins.SLOW_IMPORT_SECONDS", 0.05)
    site.add("slow", "import time\ntime.sleep(0.1)\n" + HOOK + "    return []")
    info = _info(site, "slow")
    assert info.status == "ok"
    assert info.reason.startswith("slow: it took 0.")


def test_listing_imports_no_torch(site: Site) -> None:
    site.add("lazy", "from metabench import Spec\n" + HOOK + "    return [Spec('lazy', 'zoo_x:X')]")
    code = (
        "import sys; from metabench.cli import cli\n"
        "cli.main(['list', 'algorithms'], standalone_mode=False); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(site.path), "METABENCH_PLUGINS": "lazy"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "lazy" in done.stdout


def test_a_plugin_without_hooks_is_noted(site: Site) -> None:
    site.add("idle", "")
    assert "it implements no hook" in _info(site, "idle").reason


def test_its_output_goes_to_stderr(site: Site) -> None:
    site.add(
        "loud",
        """
        import atexit, ctypes, os, sys
        from metabench import hookimpl

        def shout(where):
            print(f"print {where}")
            print(f"stdout {where}", file=sys.__stdout__)
            os.write(1, f"descriptor {where}\\n".encode())
            ctypes.CDLL(None).puts(f"libc {where}".encode())

        shout("at import")
        atexit.register(shout, "at exit")

        @hookimpl
        def metabench_algorithms():
            shout("in a hook")
            return []
        """,
    )
    done = site.metabench("list", "algorithms", "--json")
    assert done.stdout.startswith("[")
    assert done.stdout.endswith("]\n")
    for where in ("at import", "in a hook", "at exit"):
        for how in ("print", "stdout", "descriptor", "libc"):
            assert f"{how} {where}" in done.stderr


def _info(site: Site, name: str) -> PluginInfo:
    (info,) = [info for info in site.load().infos if info.name == name]
    return info
