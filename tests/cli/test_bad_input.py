"""Damaged, foreign and hostile records are named, left out and counted, and change no rank."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metabench.records import store
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record
from tests.helpers.many_records import full_records, hostile_record

Change = Callable[[dict[str, Any]], Any]
EPISODES = 60


def bad(**changes: Any) -> Record:
    """A record that would rank first if it were not left out."""
    return make_record("bad", (1.0,) * EPISODES, **changes)


def text_of(change: Change) -> str:
    """Returns the JSON of that record after a change."""
    document = json.loads(bad().model_dump_json())
    change(document)
    return json.dumps(document)


def accuracy(**changes: Any) -> Change:
    return lambda document: document["metrics"]["accuracy"].update(changes)


INVALID_FILES: dict[str, str] = {
    "empty": "",
    "truncated": bad().model_dump_json()[:300],
    "foreign": '{"name": "package.json", "version": "1.0.0"}',
    "a list": "[1, 2, 3]",
    "not finite at all": "NaN",
    "newer schema": text_of(lambda d: d.update(schema_version=2)),
    "unknown key": text_of(lambda d: d.update(surprise=1)),
    "score NaN": text_of(accuracy(episodes=[float("nan")] * EPISODES)),
    "score infinite": text_of(accuracy(episodes=[float("inf")] * EPISODES)),
    "mean NaN": text_of(accuracy(mean=float("nan"))),
    "value NaN": text_of(accuracy(values={"ece": {"deep": [float("nan")]}})),
    "value infinite": text_of(accuracy(values={"ece": 12345})).replace("12345", "1e999"),
    "fewer scores than episodes": text_of(accuracy(episodes=[1.0] * 3)),
    "more scores than episodes": text_of(accuracy(episodes=[1.0] * 100_000)),
    "key is a path": text_of(lambda d: d.update(key="../../etc/passwd")),
    "benchmark is a path": text_of(lambda d: d["benchmark"].update(name="../../etc/passwd")),
    "brackets without end": '{"metrics": ' + "[" * 100_000,
    "a number without end": text_of(accuracy(values={"ece": 12345})).replace("12345", "9" * 5000),
}
INCONSISTENT: dict[str, Record] = {
    "score beyond 1": bad().model_copy(deep=True),
    "wrong digest": bad(episode_digest="f" * 64),
    "another definition": bad(benchmark={"ways": 2}),
    "huge arrays": make_record("bad", (1.0,) * 100_000),
    "direction turned round": bad(),
}
INCONSISTENT["score beyond 1"].metrics["accuracy"].episodes[0] = 7.0
INCONSISTENT["direction turned round"].metrics["accuracy"].direction = "lower"
OTHER_VALUES: dict[str, Any] = {
    "text": dict.fromkeys(("adapt_ms", "peak_process_mb", "parameters", "adapt_flops"), "x"),
    "lists": {
        name: [1, [2]] for name in ("adapt_ms", "peak_process_mb", "parameters", "adapt_flops")
    },
    "large": dict.fromkeys(("adapt_ms", "peak_process_mb", "parameters", "adapt_flops"), 10**400),
}


@pytest.fixture
def folder(tmp_path: Path) -> ResultsFolder:
    """A folder with valid records; the ranks are protonet, r2d2, maml, nearest-mean."""
    folder = ResultsFolder(tmp_path / "results")
    for record in full_records():
        folder.save(record)
    return folder


@pytest.fixture
def best(metabench: Any, folder: ResultsFolder) -> list[tuple[str, float]]:
    """The scores of the valid records, best first."""
    return scores(metabench("leaderboard", folder.path, "--format", "json").document)


def scores(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(row["algorithm"], row["score"]) for row in rows]


def commands(folder: ResultsFolder, tmp_path: Path) -> list[tuple[Any, ...]]:
    """Every command that reads a results folder."""
    return [
        ("leaderboard", folder.path, "--format", "json"),
        ("report", folder.path, "--out", tmp_path / "site"),
        ("plot", "pareto", folder.path, "--out", tmp_path / "plot.svg"),
    ]


@pytest.mark.parametrize("case", INVALID_FILES)
def test_an_invalid_file_is_named_left_out_and_counted(
    metabench, folder, tmp_path, best, case
) -> None:
    stray = folder.records / "stray.json"
    stray.write_text(INVALID_FILES[case])
    commands_of_all = [*commands(folder, tmp_path), ("compare", folder.path, folder.path)]
    for command in (
        commands_of_all if case in ("truncated", "newer schema") else commands_of_all[:1]
    ):
        ended = metabench(*command)
        assert ended.code == 0, ended.err
        assert f"left out: {stray} " in ended.err
        twice = command[0] == "compare"  # which reads the folder as BASE and as NEW
        count = "2 files are not valid records." if twice else "1 file is not a valid record."
        assert count in ended.err
        assert metabench(*command, "--strict").code == 1
    assert scores(metabench(*commands_of_all[0]).document) == best


@pytest.mark.parametrize("case", INCONSISTENT)
def test_an_inconsistent_record_is_named_left_out_and_counted(
    metabench, folder, tmp_path, best, case
) -> None:
    folder.save(INCONSISTENT[case])
    for command in commands(folder, tmp_path):
        ended = metabench(*command)
        assert ended.code == 0, ended.err
        assert f"left out: {INCONSISTENT[case].file_name}: " in ended.err
        assert "1 record is invalid or inconsistent with the majority." in ended.err
        assert metabench(*command, "--strict").code == 1
    assert scores(metabench("leaderboard", folder.path, "--format", "json").document) == best


@pytest.mark.parametrize("case", OTHER_VALUES)
def test_values_that_are_not_numbers_are_not_shown_as_numbers(
    metabench, folder, tmp_path, case
) -> None:
    odd = make_record("odd", (0.05,) * EPISODES, cost=OTHER_VALUES[case])
    folder.save(odd)
    for command in commands(folder, tmp_path):
        assert metabench(*command).code == 0
    last = metabench("leaderboard", folder.path, "--format", "json").document[-1]
    assert (last["algorithm"], last["score"]) == ("odd", pytest.approx(0.05))
    assert {last[name] for name in ("adapt_ms", "peak_mb", "parameters", "adapt_flops")} == {None}


def test_a_hostile_record_is_escaped_and_writes_no_other_file(metabench, folder, tmp_path) -> None:
    folder.save(hostile_record())
    folder.save(make_record("../../../evil", (0.5, 0.75) * 30))
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    for command in commands(folder, tmp_path):
        assert metabench(*command, "--strict").code == 0
    new = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(
        path.is_relative_to(tmp_path / "site") or path == tmp_path / "plot.svg" for path in new
    )
    assert "<script>alert(1)" not in metabench("leaderboard", folder.path, "--format", "html").out


def test_a_file_too_large_for_a_record_is_not_read(metabench, folder, best, monkeypatch) -> None:
    monkeypatch.setattr(store, "LARGEST_FILE", 1_000_000)
    (folder.records / "large.json").write_text(" " * 1_000_001)
    ended = metabench("leaderboard", folder.path, "--format", "json")
    assert "large.json is too large for a record: 1 MiB" in ended.err
    assert scores(ended.document) == best
