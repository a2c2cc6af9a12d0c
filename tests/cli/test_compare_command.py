import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from metabench.cli import main
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record, with_seeds

FLAT = tuple(np.linspace(0.4, 0.6, 30).tolist())
LOWER = tuple(score - 0.05 for score in FLAT)


def folder(path: Path, *records: Record, seeds: int = 3) -> str:
    """A results folder with several seeds of these records."""
    (path / "records").mkdir(parents=True)
    for record in with_seeds(*records, seeds=seeds):
        for metric in record.metrics.values():
            metric.unit = "share"
        ResultsFolder(path).save(record)
    return str(path)


@pytest.fixture
def base(tmp_path: Path) -> str:
    return folder(tmp_path / "base", make_record(scores=FLAT), make_record("protonet", FLAT))


@pytest.fixture
def call(capsys):
    """Call the command line: the exit code, stdout, stderr."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as left:
            main(["compare", *arguments])
        captured = capsys.readouterr()
        return int(left.value.code or 0), captured.out, captured.err

    return run


def test_it_exits_with_3_if_a_cell_is_worse_and_otherwise_with_0(
    call, base: str, tmp_path: Path
) -> None:
    code, out, _ = call(base, base)
    assert code == 0
    assert "No cell is worse (2 equivalent)." in out
    worse = folder(tmp_path / "new", make_record(scores=LOWER), make_record("protonet", FLAT))
    code, out, _ = call(base, worse)
    assert code == 3
    assert "1 of 2 cells is worse: maml on blobs-3w1s@1 by 5.0 points" in out
    assert out.splitlines()[2].startswith("worse")
    assert call(base, worse, "--min-effect", "0.06")[0] == 0
    assert call(base, worse, "--alpha", "1e-9")[0] == 0
    assert call(worse, base)[0] == 0


def test_a_cell_that_has_failed_exits_with_3(call, base: str, tmp_path: Path) -> None:
    failed = make_record(scores=None, reason="planted", benchmark={"test_episodes": len(FLAT)})
    code, out, _ = call(base, folder(tmp_path / "new", failed, make_record("protonet", FLAT)))
    assert code == 3
    assert "was ok and is failed (planted)" in out


def test_a_slower_cell_only_warns(call, tmp_path: Path) -> None:
    cells = [make_record(scores=FLAT, cost={"adapt_ms": ms}) for ms in (10.0, 90.0)]
    before, after = (folder(tmp_path / name, cell) for name, cell in zip("ab", cells, strict=True))
    code, out, _ = call(before, after)
    assert code == 0
    assert "slower: adapt_ms was 10 and is 90" in out


def test_json_is_one_document_with_the_exit_code(call, base: str, tmp_path: Path) -> None:
    new = folder(tmp_path / "new", make_record(scores=LOWER), make_record("protonet", FLAT))
    code, out, _ = call(base, new, "--json")
    document = json.loads(out)
    assert code == document["exit_code"] == 3
    assert document["regressions"] == 1
    assert [row["verdict"] for row in document["rows"]] == ["worse", "equivalent"]
    assert document["rows"][0]["difference"] == pytest.approx(-0.05)


def test_the_files_are_written_with_every_verdict(call, base: str, tmp_path: Path) -> None:
    new = folder(tmp_path / "new", make_record(scores=LOWER))
    markdown, entries = tmp_path / "out" / "summary.md", tmp_path / "out" / "benchmark.json"
    code, _, _ = call(base, new, "--markdown", str(markdown), "--benchmark-json", str(entries))
    assert code == 3
    assert "1 of 1 cells is worse" in markdown.read_text()
    (entry,) = json.loads(entries.read_text())
    assert entry["name"] == "maml on blobs-3w1s@1: accuracy"
    assert entry["value"] == pytest.approx(0.45)


def test_a_file_that_cannot_be_written_is_named(call, base: str, tmp_path: Path) -> None:
    code, _, err = call(base, base, "--markdown", str(tmp_path))
    assert code == 2
    assert f"'{tmp_path}' cannot be written" in err


def test_a_missing_baseline_is_a_notice_unless_it_is_required(
    call, base: str, tmp_path: Path
) -> None:
    entries = tmp_path / "benchmark.json"
    code, out, err = call(str(tmp_path / "none"), base, "--benchmark-json", str(entries))
    assert code == 0
    assert "has no baseline yet" in err
    assert "new" in out
    assert len(json.loads(entries.read_text())) == 2
    code, out, _ = call(str(tmp_path / "none"), base, "--json")
    assert "has no baseline" in json.loads(out)["notices"][0]
    code, _, err = call(str(tmp_path / "none"), base, "--require-baseline")
    assert code == 2
    assert "there is no baseline" in err


def test_a_baseline_of_damaged_files_is_an_error(call, base: str, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged" / "records"
    damaged.mkdir(parents=True)
    (damaged / "a.json").write_text("{")
    code, _, err = call(str(damaged.parent), base)
    assert code == 2
    assert "has 1 file and no valid record" in err


def test_missing_new_results_are_an_error(call, base: str, tmp_path: Path) -> None:
    assert call(base, str(tmp_path / "none"))[0] == 2
    code, _, err = call(base, folder(tmp_path / "empty"))
    assert code == 5
    assert "no valid record to compare" in err


def test_a_cell_that_is_not_comparable_fails_beside_one_that_is(
    call, base: str, tmp_path: Path
) -> None:
    other = make_record("maml", FLAT, episode_digest="f" * 64)
    new = folder(tmp_path / "new", other, make_record("protonet", FLAT))
    assert call(base, new)[0] == 1
    assert call(base, new, "--allow-missing")[0] == 0


def test_nothing_comparable_exits_with_5(call, base: str, tmp_path: Path) -> None:
    cells = [make_record(name, FLAT, episode_digest="f" * 64) for name in ("maml", "protonet")]
    code, out, _ = call(base, folder(tmp_path / "new", *cells))
    assert code == 5
    assert "No cell could be compared" in out
    assert "2 are not comparable" in out
    assert "different test episodes" in out


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"schema_version": 1',
        '{"name": "package.json"}',
        '{"schema_version": 99}',
        "[1, 2]",
        "\x00\xff",
        "NaN",
    ],
)
def test_invalid_files_are_named_and_left_out(call, base: str, tmp_path: Path, text: str) -> None:
    new = tmp_path / "new"
    folder(new, make_record(scores=FLAT), make_record("protonet", FLAT))
    (new / "records" / "stray.json").write_text(text, encoding="latin-1")
    code, out, err = call(base, str(new))
    assert code == 0
    assert "2 equivalent" in out
    assert f"left out: {new / 'records' / 'stray.json'} " in err
    assert "1 file is not a valid record." in err
    assert call(base, str(new), "--strict")[0] == 1


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:200], lambda text: text.replace("[0.4,", "[NaN,", 1)]
)
def test_a_cell_whose_new_record_is_unreadable_fails(
    call, base: str, tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    new = tmp_path / "new"
    folder(new, make_record(scores=FLAT), make_record("protonet", FLAT))
    path = next(new.rglob("maml-s1-*.json"))
    path.write_text(spoil(path.read_text()))
    code, out, err = call(base, str(new))
    assert code == 1
    assert "1 gone" in out
    assert f"its record {path.name} is unreadable" in out
    assert f"left out: {path} " in err
    assert call(base, str(new), "--allow-missing")[0] == 0


def test_a_cell_of_the_baseline_that_is_gone_fails(call, base: str, tmp_path: Path) -> None:
    new = folder(tmp_path / "new", make_record(scores=FLAT))
    code, out, _ = call(base, new)
    assert code == 1
    assert "The new results lack protonet on blobs-3w1s@1." in out
    assert call(base, new, "--allow-missing")[0] == 0
    document = json.loads(call(base, new, "--json")[1])
    assert document["exit_code"] == document["gone"] == 1


def test_a_regression_goes_before_a_cell_that_is_gone(call, base: str, tmp_path: Path) -> None:
    assert call(base, folder(tmp_path / "new", make_record(scores=LOWER)))[0] == 3


def test_one_seed_a_side_warns_and_does_not_fail(call, tmp_path: Path) -> None:
    before = folder(tmp_path / "base", make_record(scores=FLAT), seeds=1)
    after = folder(tmp_path / "new", make_record(scores=LOWER), seeds=1)
    code, out, _ = call(before, after)
    assert code == 0
    assert "undecided" in out
    assert "a loss that is significant over the episodes" in out


@pytest.mark.parametrize(
    "options", [("--alpha", "2"), ("--min-effect", "-1"), ("--min-effect", "much")]
)
def test_invalid_levels_are_an_error(call, base: str, options: tuple[str, str]) -> None:
    assert call(base, base, *options)[0] == 2
