"""``metabench plot``."""

from pathlib import Path

import pytest

from metabench.records.store import ResultsFolder
from tests.helpers.many_records import full_records

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
RECORDS = [r for b in ("one", "two") for r in full_records(benchmark={"name": b})]


@pytest.mark.parametrize("kind", ["pareto", "learning"])
def test_the_command_writes_a_file(metabench, tmp_path: Path, kind: str) -> None:
    for record in RECORDS:
        ResultsFolder(tmp_path / "results").save(record)
    file = tmp_path / "figures" / "one.svg"
    ended = metabench("plot", kind, tmp_path / "results", "--out", file, "-b", "one")
    assert (ended.code, ended.out, ended.err) == (0, f"wrote {file}\n", "")
    assert file.read_bytes().startswith(b"<?xml")


def test_an_unknown_file_suffix_is_an_error_before_anything_is_read(
    metabench, tmp_path: Path
) -> None:
    ended = metabench("plot", "pareto", tmp_path / "none", "--out", tmp_path / "plot.gif")
    assert ended.code == 2
    assert "ends in '.gif'" in ended.err
    assert ".svg, .png, .pdf" in ended.err


def test_an_invalid_file_is_an_error_with_strict(metabench, tmp_path: Path) -> None:
    folder = ResultsFolder(tmp_path / "results")
    for record in full_records():
        folder.save(record)
    (folder.records / "truncated.json").write_text("{")
    arguments = ("plot", "pareto", folder.path, "--out", tmp_path / "plot.png")
    ended = metabench(*arguments)
    assert ended.code == 0
    assert "truncated.json is not a record" in ended.err
    assert "1 file is not a valid record." in ended.err
    assert metabench(*arguments, "--strict").code == 1


def test_an_unknown_benchmark_is_an_error_that_lists_the_known_ones(
    metabench, tmp_path: Path
) -> None:
    folder = ResultsFolder(tmp_path / "results")
    for record in RECORDS:
        folder.save(record)
    ended = metabench("plot", "pareto", folder.path, "--out", tmp_path / "plot.png", "-b", "tow")
    assert ended.code == 2
    assert "unknown benchmark 'tow'. Did you mean 'two'?" in ended.err
    assert "has records of one, two" in ended.err
