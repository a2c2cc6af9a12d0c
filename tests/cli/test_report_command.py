"""``metabench report``."""

import json
from pathlib import Path

import pytest

from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record
from tests.helpers.many_records import HOSTILE, full_record, full_records, hostile_record


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = ResultsFolder(tmp_path / "results")
    for record in full_records():
        folder.save(record)
    return folder.path


def test_it_writes_a_site_and_says_where(metabench, results: Path, tmp_path: Path) -> None:
    ended = metabench("report", results, "--out", tmp_path / "site")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out == f"wrote 5 pages; open {tmp_path / 'site' / 'index.html'}\n"
    assert (tmp_path / "site" / "index.html").is_file()


def bad_files(results: Path) -> dict[str, str]:
    """Invalid files by name, with the reason for each."""
    good = json.loads(full_record("bad", 0.5, 1.0).model_dump_json())
    episodes = good["metrics"]["accuracy"]["episodes"]
    texts = {
        "truncated.json": json.dumps(good)[:200],
        "foreign.json": '{"name": "package", "version": "1.0.0"}',
        "newer.json": json.dumps(good | {"schema_version": 2}),
        "nan.json": json.dumps(good).replace(json.dumps(episodes), "[NaN, 0.5]"),
        "path.json": json.dumps(
            good | {"benchmark": good["benchmark"] | {"name": "../../../outside"}}
        ),
        "deep.json": "[" * 100_000,
        "binary.json": "\x00\x01",
        "huge.json": json.dumps(good).replace(json.dumps(episodes), str([0.5] * 300_000)),
        "digest.json": json.dumps(good | {"key": "not a digest"}),
    }
    for name, text in texts.items():
        (results / "records" / name).write_text(text)
    return texts


def test_an_invalid_file_is_named_left_out_and_counted(
    metabench, results: Path, tmp_path: Path
) -> None:
    clean = tmp_path / "clean"
    assert metabench("report", results, "--out", clean).code == 0
    bad = bad_files(results)
    ended = metabench("report", results, "--out", tmp_path / "site")
    assert ended.code == 0
    for name in bad:
        assert f"left out: {results / 'records' / name} is" in ended.err
    assert f"{len(bad)} files are not valid records." in ended.err
    assert "schema version 2" in ended.err
    page = (tmp_path / "site" / "index.html").read_text()
    assert all(f"<code>{name}</code>" in page for name in bad)

    def boards(text: str) -> str:
        return text[text.index("<section") : text.index("</table>")]

    assert boards(page) == boards((clean / "index.html").read_text())
    assert metabench("report", results, "--out", tmp_path / "site", "--strict").code == 1


def test_a_record_of_other_episodes_is_named_and_an_error_with_strict(
    metabench, results: Path, tmp_path: Path
) -> None:
    ResultsFolder(results).save(full_record("odd", 1.0, 1.0, episode_digest="f" * 64))
    ended = metabench("report", results, "--out", tmp_path / "site")
    assert ended.code == 0
    assert "its test episodes differ from those of most records" in ended.err
    assert metabench("report", results, "--out", tmp_path / "site", "--strict").code == 1


def test_a_hostile_name_is_a_page_in_the_folder(metabench, results: Path, tmp_path: Path) -> None:
    folder = ResultsFolder(results)
    folder.save(hostile_record())
    folder.save(full_record("../../../../escaped", 0.5, 1.0))
    before = {p for p in tmp_path.rglob("*") if results not in p.parents}
    assert metabench("report", results, "--out", tmp_path / "site").code == 0
    new = {p for p in tmp_path.rglob("*") if results not in p.parents} - before
    assert all(p == tmp_path / "site" or tmp_path / "site" in p.parents for p in new)
    assert HOSTILE not in (tmp_path / "site" / "index.html").read_text()


def test_without_records_it_exits_with_5_and_creates_no_folder(metabench, tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    ended = metabench("report", tmp_path / "results", "--out", tmp_path / "site")
    assert ended.code == 5
    assert "has no record to show" in ended.err
    assert not (tmp_path / "site").exists()


def test_quick_records_need_the_option(metabench, tmp_path: Path) -> None:
    ResultsFolder(tmp_path / "results").save(make_record("maml", benchmark={"quick": True}))
    assert metabench("report", tmp_path / "results", "--out", tmp_path / "site").code == 5
    assert (
        metabench("report", tmp_path / "results", "--out", tmp_path / "site", "--quick").code == 0
    )
    assert "their scores mean nothing" in (tmp_path / "site" / "index.html").read_text()


def test_a_missing_folder_is_an_error(metabench, tmp_path: Path) -> None:
    ended = metabench("report", tmp_path / "none", "--out", tmp_path / "site")
    assert ended.code == 2
    assert "there is no results folder" in ended.err


def test_a_folder_with_other_files_is_not_overwritten(metabench, results: Path) -> None:
    ended = metabench("report", results, "--out", results)
    assert ended.code == 2
    assert "is not empty, and not a report of metabench" in ended.err
    assert ResultsFolder(results).load()[0]
