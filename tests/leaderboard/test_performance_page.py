"""The committed figures of speed, and the pages that are made from them."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from tests.performance import page
from tests.performance.figures import Figure, load, store

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "leaderboards" / "performance"
DOCUMENT = ROOT / "docs" / "performance.md"
FIGURES = sorted(FOLDER.glob("*.json"))

SIDE = {"median": 300.0, "q1": 290.0, "q3": 310.0}
ROW = Figure(
    name="maml",
    what="MAML",
    setting="4 tasks",
    value=2.0,
    bar=1.5,
    threads=2,
    peer="higher",
    rate_unit="tasks/s",
    sides={"metabench": SIDE, "higher": {"median": 150.0, "q1": 1.5, "q3": 1500.0}},
    beside={"vmap": {"median": 10.0, "q1": 9.0, "q3": 11.0}},
    extra={
        "mflop_a_task": 100.0,
        "share_of_sgemm": {"metabench": 0.4, "higher": 0.2},
        "mb": {"metabench": 1234.5},
    },
    environment={"cpu": "Some CPU", "cpu_count": 2, "python": "3.11.7", "sgemm_gflops": 75.0},
    versions={"torch": "2.13.0"},
    measured="2026-01-01",
)


@pytest.mark.parametrize("path", FIGURES, ids=lambda path: path.stem)
def test_a_committed_page_follows_from_its_figures(path: Path) -> None:
    assert path.with_suffix(".md").read_text(encoding="utf-8") == page.render(path.stem, load(path))


def test_the_documentation_has_exactly_the_committed_figures() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == page.with_block(text, page.block(FOLDER))
    assert text.count(page.BEGIN) == text.count(page.END) == 1


def test_a_row_shows_both_sides_the_ratio_and_whether_the_threshold_is_met() -> None:
    cells = [cell.strip() for cell in page.table([ROW]).splitlines()[2].strip("|").split("|")]
    assert dict(zip(page.COLUMNS, cells, strict=True)) == {
        "what": "MAML",
        "setting": "4 tasks",
        "threads": "2",
        "metabench": "300 [290, 310] tasks/s",
        "fastest peer": "higher 150 [1.5, 1,500]",
        "others": "(vmap 10 [9, 11])",
        "measured": "2 x",
        "must reach": "≥ 1.5 x",
        "met": "yes",
    }


@pytest.mark.parametrize(
    ("value", "sense", "met"),
    [
        (1.5, "at least", True),
        (1.49, "at least", False),
        (1.5, "at most", True),
        (1.51, "at most", False),
    ],
)
def test_a_missed_threshold_is_marked(value: float, sense: str, met: bool) -> None:
    row = dataclasses.replace(ROW, value=value, sense=sense)  # type: ignore[arg-type]
    assert row.met is met
    assert ("**no**" in page.table([row])) is not met


def test_a_new_measurement_replaces_the_earlier_row(tmp_path: Path) -> None:
    path = tmp_path / "machine.json"
    other = dataclasses.replace(ROW, threads=1)
    for row in (ROW, other, dataclasses.replace(ROW, value=3.0)):
        store(row, path)
    assert load(path) == {
        "maml, 1 thread": other,
        "maml, 2 threads": dataclasses.replace(ROW, value=3.0),
    }
    assert json.loads(path.read_text())["rows"]["maml, 1 thread"]["met"] is True


def test_the_page_shows_the_share_of_sgemm_and_the_environment() -> None:
    text = page.render("some-cpu", {ROW.key: ROW})
    assert re.search(r"\| MAML +\| 2 +\| metabench +\| 100 +\| 75 +\| 40\.0% +\| 1,234 ", text)
    assert re.search(r"\| MAML +\| 2 +\| higher +\| 100 +\| 75 +\| 20\.0% +\|  +\|", text)
    assert "Some CPU, 2 cores, Python 3.11.7, torch 2.13.0, on 2026-01-01" in text


def test_with_block_replaces_the_block_and_keeps_the_rest() -> None:
    text = f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n"
    made = page.with_block(text, "new")
    assert made == f"before\n{page.BEGIN}\n\nnew\n\n{page.END}\nafter\n"
    assert page.with_block(made, "new") == made
