"""``metabench check``."""

import json

import pytest

from metabench.registry import Spec


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options for checks that take no time."""
    return ["--only", "shapes", "--only", "meta-trains"]


def test_it_shows_each_check_and_exits_with_0(metabench, planted, quick) -> None:
    ended = metabench("check", "nearest-mean", *quick)
    assert ended.code == 0
    assert "nearest-mean: 1 passed, 0 failed, 1 not applicable" in ended.out
    assert "n/a     meta-trains" in ended.out
    assert ended.out.endswith("1 of 1 algorithm passes.\n")


def test_json_is_one_document(metabench, planted, quick) -> None:
    ended = metabench("check", "nearest-*", "random", *quick, "--json")
    assert [row["algorithm"] for row in ended.document] == ["nearest-mean", "random"]
    (row, _) = ended.document
    assert (row["ok"], row["passed"], row["failed"], row["not_applicable"]) == (True, 1, 0, 1)
    assert [set(check) for check in row["checks"]] == [
        {"name", "claim", "status", "reason", "seconds"}
    ] * 2


def test_a_failed_check_exits_with_1_and_output_of_plugins_goes_to_stderr(
    metabench, planted, quick
) -> None:
    ended = metabench("check", "trouble", *quick, "--json")
    assert ended.code == 1
    (row,) = ended.document
    assert row["failed"] == 1
    assert "ValueError: planted" in row["checks"][0]["reason"]


def test_without_an_applicable_check_it_exits_with_1(metabench, planted) -> None:
    ended = metabench("check", "nearest-mean", "--only", "meta-trains")
    assert ended.code == 1
    assert "no check ran, which is a failure" in ended.out


def test_an_unknown_name_exits_with_2_and_a_suggestion(metabench, planted) -> None:
    ended = metabench("check", "nearest-men")
    assert ended.code == 2
    assert "Did you mean 'nearest-mean'?" in ended.err


def test_an_unknown_check_exits_with_2_and_a_suggestion(metabench, planted) -> None:
    ended = metabench("check", "nearest-mean", "--only", "shape")
    assert ended.code == 2
    assert "unknown check 'shape'. Did you mean 'shapes'?" in ended.err


def test_without_an_algorithm_it_exits_with_5(metabench, planted) -> None:
    assert metabench("check").code == 5
    assert metabench("check", "--all", "maml").code == 2


def test_an_algorithm_that_cannot_be_imported_fails_and_the_others_go_on(
    metabench, planted, quick
) -> None:
    planted.registry.add("algorithm", Spec("gone", "no_such_module:X", distribution="zoo"))
    planted.registry.add("algorithm", Spec("dict", dict, distribution="zoo"))
    ended = metabench("check", "gone", "dict", "random", *quick, "--json")
    assert ended.code == 1
    rows = {row["algorithm"]: row for row in json.loads(ended.out)}
    assert "ModuleNotFoundError" in rows["gone"]["checks"][0]["reason"]
    assert "does not derive from metabench.Algorithm" in rows["dict"]["checks"][0]["reason"]
    assert rows["random"]["ok"]


def test_claims_have_no_markup_of_docstrings(metabench) -> None:
    """They are the docstrings of the checks, whose markup is for Sphinx."""
    ended = metabench("check", "nearest-mean", "--json")
    claims = [check["claim"] for report in ended.document for check in report["checks"]]
    assert any("finite `[Q, outputs]` for" in claim for claim in claims)
    assert not any("``" in claim or ":class:" in claim for claim in claims)
