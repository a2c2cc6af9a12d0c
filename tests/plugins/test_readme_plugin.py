"""The plugin in the README runs as it is written there."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from tests.helpers.plugin_site import Site

README = Path(__file__).parents[2] / "README.md"
MARKER = "<!-- smallest plugin -->"


def blocks(text: str) -> tuple[str, str]:
    """The first python block and the first toml block after the marker."""
    _, marker, rest = text.partition(MARKER)
    assert marker, f"{README.name} has lost the line {MARKER}"
    python = re.search(r"```python\n(.*?)```", rest, re.DOTALL)
    toml = re.search(r"```toml\n(.*?)```", rest, re.DOTALL)
    assert python
    assert toml
    return python[1], toml[1]


def test_the_plugin_of_the_readme_runs(site: Site, tmp_path: Path) -> None:
    python, toml = blocks(README.read_text(encoding="utf-8"))
    assert len(python.strip().splitlines()) == 14
    ((name, module),) = tomllib.loads(toml)["project"]["entry-points"]["metabench"].items()
    site.add(name, python, module=module, distribution="my-package")

    (plugin,) = [p for p in site.json("plugins") if p["name"] == "pixel-mean"]
    assert (plugin["status"], plugin["provides"]) == ("ok", {"algorithms": ["pixel-mean"]})
    (report,) = site.json("check", "pixel-mean")
    assert report["ok"], report
    run = [
        "run",
        "-a",
        "pixel-mean",
        "-b",
        "glyphs-5w1s",
        "--quick",
        "--results",
        tmp_path,
        "--json",
    ]
    (row,) = json.loads(site.metabench(*run).stdout)
    assert (row["algorithm"], row["library"], row["status"]) == ("pixel-mean", "my-package", "ok")
    assert row["score"] > 1 / 5
