"""The picture of the README shows the records of leaderboards/core."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from metabench.cli import cli
from tests.helpers.repository import ROOT

TOLERANCE = 2.0
"""Points by which a marker may move with the release of matplotlib."""


def markers(picture: Path) -> list[tuple[float, float]]:
    """Returns the coordinates of every mark in a picture."""
    text = picture.read_text(encoding="utf-8")
    found = re.findall(r'<use xlink:href="#m\w+" x="([\d.]+)" y="([\d.]+)"', text)
    return [(float(x), float(y)) for x, y in found]


def test_the_picture_of_the_readme_is_made_from_the_committed_records(tmp_path: Path) -> None:
    made = tmp_path / "pareto.svg"
    command = ["plot", "pareto", str(ROOT / "leaderboards" / "core"), "--out", str(made)]
    assert CliRunner().invoke(cli, command).exit_code == 0
    committed = markers(ROOT / "docs" / "pareto.svg")
    assert len(committed) > 50
    assert len(markers(made)) == len(committed)
    for new, old in zip(markers(made), committed, strict=True):
        assert new == pytest.approx(old, abs=TOLERANCE), "run the command in docs/report.md"
