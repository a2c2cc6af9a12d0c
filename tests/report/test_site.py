"""The folder of a report: whole or not at all, and never in the place of anything else."""

from pathlib import Path

import pytest

from metabench.errors import ResultsError
from metabench.report.site import MARK, write_site

PAGES = {"index.html": "one", "algorithms/maml.html": "two"}


def files_of(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()
    }


def test_the_pages_are_written_and_nothing_is_left_beside_them(tmp_path: Path) -> None:
    write_site(PAGES, tmp_path / "deep" / "site")
    assert {n: t for n, t in files_of(tmp_path / "deep" / "site").items() if n != MARK} == PAGES
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["site"]


def test_a_new_report_takes_the_place_of_an_old_one_and_leaves_nothing_of_it(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    write_site(PAGES, site)
    write_site({"index.html": "three"}, site)
    assert {n: t for n, t in files_of(site).items() if n != MARK} == {"index.html": "three"}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    write_site(PAGES, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file()


def test_a_folder_with_other_things_is_refused_and_left_alone(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultsError, match="is not empty, and no report of metabench"):
        write_site(PAGES, site)
    assert files_of(tmp_path) == {"site/thesis.tex": "years of work"}


def test_a_report_that_somebody_put_a_file_into_is_refused(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(PAGES, site)
    (site / "CNAME").write_text("example.org")
    before = files_of(tmp_path)
    with pytest.raises(ResultsError, match="holds 'CNAME', which is not of the report"):
        write_site(PAGES, site)
    assert files_of(tmp_path) == before


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file")
    with pytest.raises(ResultsError, match="is a file"):
        write_site(PAGES, tmp_path / "site")


def test_what_fails_on_the_way_leaves_the_old_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    write_site(PAGES, site)
    before = files_of(tmp_path)
    write_text = Path.write_text

    def fail(self: Path, *arguments: object, **options: object) -> int:
        if self.name == "maml.html":
            raise OSError(28, "No space left on device")
        return write_text(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(ResultsError, match="No space left on device"):
        write_site(PAGES | {"index.html": "new"}, site)
    assert files_of(tmp_path) == before


def test_a_swap_that_fails_puts_the_old_report_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    write_site(PAGES, site)
    before = files_of(tmp_path)
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(ResultsError, match="Permission denied"):
        write_site({"index.html": "new"}, site)
    assert files_of(tmp_path) == before


@pytest.mark.parametrize(
    "name", ["../outside.html", "/outside.html", "algorithms/../../outside.html"]
)
def test_no_page_leaves_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(ResultsError, match="outside"):
        write_site({name: "text"}, tmp_path / "site")
    assert files_of(tmp_path) == {}
