"""The folder of a report is written atomically and replaces nothing but a report."""

from pathlib import Path

import pytest

from metabench.errors import ResultsError
from metabench.report.site import MARK, write_site

PAGES = {"index.html": "one", "algorithms/maml.html": "two"}


def files_of(folder: Path) -> dict[str, str]:
    return {
        p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()
    }


def test_the_pages_are_written_and_no_temporary_files_are_left(tmp_path: Path) -> None:
    write_site(PAGES, tmp_path / "deep" / "site")
    assert {n: t for n, t in files_of(tmp_path / "deep" / "site").items() if n != MARK} == PAGES
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["site"]


def test_a_new_report_replaces_all_files_of_an_old_one(
    tmp_path: Path,
) -> None:
    site = tmp_path / "site"
    write_site(PAGES, site)
    write_site({"index.html": "three"}, site)
    assert {n: t for n, t in files_of(site).items() if n != MARK} == {"index.html": "three"}


def test_an_empty_folder_is_used(tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    write_site(PAGES, tmp_path / "site")
    assert (tmp_path / "site" / "index.html").is_file()


def test_a_folder_with_other_files_is_refused_and_unchanged(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "thesis.tex").write_text("years of work")
    with pytest.raises(ResultsError, match="is not empty, and not a report of metabench"):
        write_site(PAGES, site)
    assert files_of(tmp_path) == {"site/thesis.tex": "years of work"}


def test_a_report_with_an_additional_file_is_refused_and_unchanged(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write_site(PAGES, site)
    (site / "CNAME").write_text("example.org")
    before = files_of(tmp_path)
    with pytest.raises(ResultsError, match="holds 'CNAME', which is not part of the report"):
        write_site(PAGES, site)
    assert files_of(tmp_path) == before


def test_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file")
    with pytest.raises(ResultsError, match="is a file"):
        write_site(PAGES, tmp_path / "site")


def test_a_failed_write_leaves_the_old_report(
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


def test_a_failed_rename_restores_the_old_report(
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
