"""Changelog fragments have names that towncrier reads; it skips others without an error."""

import re
import tomllib

from tests.helpers.repository import ROOT

KINDS = {
    kind["directory"]
    for kind in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]["type"]
}


def test_every_fragment_has_a_name_that_towncrier_reads() -> None:
    names = {path.name for path in (ROOT / "changelog.d").iterdir()} - {"README.md"}
    for name in names:
        found = re.fullmatch(r"(?:\d+|\+[\w-]+)\.(\w+)\.md", name)
        assert found is not None, name
        assert found[1] in KINDS, name


def test_the_changelog_has_the_place_for_fragments() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
    assert (ROOT / "CHANGELOG.md").read_text().count(settings["start_string"]) == 1
