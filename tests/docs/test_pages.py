"""The pages of the documentation are listed, short where they must be, and link to what exists."""

import re
from pathlib import Path

import pytest

from metabench.plugins import installed_plugins
from metabench.records.store import ResultsFolder
from tests.helpers.repository import PAGES, ROOT

LONGEST_README = 150
LINK = re.compile(r"\]\(([^)\s]+)\)")


def slug(heading: str) -> str:
    """Returns the anchor of a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def place(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def test_the_readme_is_a_front_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_the_board_of_the_picture_has_as_many_algorithms_as_the_readme_says() -> None:
    records, unreadable = ResultsFolder(ROOT / "leaderboards" / "core").load()
    assert not unreadable
    built_in = {
        spec.name
        for spec in installed_plugins().registry.specs("algorithm")
        if spec.distribution == "metabench"
    }
    assert {record.algorithm.name for record in records} == built_in
    assert len(built_in) == 23
    assert "all twenty-three algorithms" in (ROOT / "README.md").read_text()


def test_the_index_lists_every_page() -> None:
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/*.md")}
    index = (ROOT / "docs" / "index.md").read_text()
    assert pages - {"index.md"} <= set(LINK.findall(index))


@pytest.mark.parametrize("page", PAGES, ids=place)
def test_a_page_links_to_files_and_headings_that_exist(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"https?://", target):
            continue
        file, _, anchor = target.partition("#")
        path = page.parent / file if file else page
        assert path.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {slug(heading) for heading in headings}, target


def test_every_name_of_a_file_in_code_exists() -> None:
    """Docs name modules of the package by their paths; a move must change the page too."""
    for page in PAGES:
        for name in re.findall(r"`(metabench/[a-z0-9_/.]+)`", page.read_text(encoding="utf-8")):
            assert (ROOT / name).exists(), f"{place(page)}: {name}"
