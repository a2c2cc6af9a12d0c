"""The code of a board's records: stated, one for all seeds of a row, connected by ``code.csv``."""

import itertools
import json
from pathlib import Path

import pytest

from metabench.errors import ResultsError
from metabench.leaderboard.codes import (
    CODES,
    Recheck,
    add_recheck,
    code_problems,
    read_rechecks,
    same_numbers,
)
from metabench.leaderboard.verify import problems_of
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record, with_seeds

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)


def line(old: str, new: str, *, algorithm: str = "maml", version: str = "1") -> Recheck:
    return Recheck("2026-01-01T00:00:00+00:00", algorithm, version, old, new, "x/maml.json")


def with_codes(*codes: str, **changes: str) -> list[Record]:
    """Returns a record for each code, of seed 0, 1, ..."""
    records = with_seeds(make_record("maml", **changes), seeds=len(codes))
    return [r.model_copy(update={"code": c}) for r, c in zip(records, codes, strict=True)]


def connected(lines: list[Recheck], old: str, new: str) -> bool:
    return same_numbers(lines, make_record("maml").algorithm, old, new)


def test_lines_connect_codes_over_several_changes_in_any_order_and_direction() -> None:
    for lines in itertools.permutations([line(A, B), line(B, C), line(D, C)]):
        assert connected(list(lines), A, D)
        assert connected(list(lines), D, A)
    assert not connected([line(A, B), line(C, D)], A, D)


def test_a_code_is_connected_to_itself() -> None:
    assert connected([], A, A)
    assert not connected([], A, B)


@pytest.mark.parametrize("changes", [{"algorithm": "reptile"}, {"version": "2"}])
def test_lines_of_another_algorithm_or_version_do_not_connect(changes: dict[str, str]) -> None:
    assert not connected([line(A, B, **changes)], A, B)


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    lines = (line(A, B), line(B, C))
    for one in (lines[1], lines[0], lines[1]):
        add_recheck(tmp_path, one)
    assert read_rechecks(tmp_path) == lines
    assert (tmp_path / CODES).read_text().splitlines()[0] == "date,algorithm,version,old,new,cell"


@pytest.mark.parametrize("text", ["", "old,new\na,b\n", "date,algorithm,version,old,new,cell\na\n"])
def test_another_file_is_neither_read_nor_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / CODES).write_text(text)
    with pytest.raises(ResultsError, match=r"code\.csv' is not a list of rechecked code"):
        add_recheck(tmp_path, line(A, B))
    assert (tmp_path / CODES).read_text() == text


def test_one_code_for_all_seeds_is_no_problem() -> None:
    assert list(code_problems(with_codes(A, A, A), [])) == []


def test_records_of_one_row_with_two_codes_are_a_problem() -> None:
    records = with_codes(A, A, B)
    (text,) = code_problems(records, [])
    assert text.startswith(
        f"{records[2].file_name}: made with other code of maml@1 on blobs-3w1s@1"
    )
    assert f"than {records[0].file_name} (code bbbbbbbbbbbb and aaaaaaaaaaaa)" in text
    assert list(code_problems(records, [line(A, B)])) == []


def test_records_without_a_code_are_one_problem() -> None:
    records = with_codes("", A, "")
    (text,) = code_problems(records, [])
    assert text.startswith("2 records without the code of the algorithm, the first ")
    assert records[0].file_name in text
    assert "`metabench run --fresh`" in text


def test_a_failed_record_needs_no_code() -> None:
    assert list(code_problems([make_record("maml", None)], [])) == []


def test_each_benchmark_may_have_its_own_network() -> None:
    (other,) = with_codes(B)
    other = other.model_copy(update={"benchmark": other.benchmark.model_copy(update={"name": "b"})})
    assert list(code_problems([*with_codes(A), other], [])) == []


def test_verify_reports_them(tmp_path: Path) -> None:
    (old,) = with_codes("")
    ResultsFolder(tmp_path).save(old)
    assert any("without the code" in text for text in problems_of([old], [], tmp_path))
    (tmp_path / CODES).write_text("nonsense")
    assert any("is not a list of rechecked code" in p for p in problems_of([old], [], tmp_path))


def test_records_that_are_older_than_the_code_still_load() -> None:
    text = json.loads(make_record().model_dump_json())
    del text["code"]
    assert Record.model_validate(text).code == ""
