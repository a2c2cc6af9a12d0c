"""``metabench run``."""

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from tests.helpers.cells import BLOBS, child_environment, suite_file

ESCAPE = "\x1b"


def records_in(results: Path) -> dict[str, Record]:
    records, unreadable = ResultsFolder(results).load()
    assert not unreadable
    return {record.algorithm.name: record for record in records}


@pytest.mark.usefixtures("in_process")
class TestRun:
    def test_it_prints_a_ranked_table_and_stores_a_record_for_each_cell(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "-a", "nearest-mean", "--suite", suite)
        assert ended.code == 0, ended.err
        table = ended.out.splitlines()
        assert table[0].startswith("blobs-3w1s@1: accuracy on 30 episodes")
        assert "nearest-mean@1" in table[3]
        assert "drifter@1" in table[4]
        assert set(records_in(here / "results")) == {"drifter", "nearest-mean"}

    def test_a_second_run_does_nothing_and_says_so(
        self, metabench, suite: Path, here: Path
    ) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        first = metabench(*command)
        before = {p: p.stat().st_mtime_ns for p in here.rglob("*.json")}
        second = metabench(*command)
        assert (first.code, second.code) == (0, 0)
        assert "1 cell: 0 stored, 1 to run" in first.err
        assert "1 cell: 1 stored, 0 to run" in second.err
        assert "nothing to do: every cell is stored" in second.err
        assert second.out == first.out
        assert {p: p.stat().st_mtime_ns for p in here.rglob("*.json")} == before

    def test_fresh_runs_it_again(self, metabench, suite: Path, here: Path) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        metabench(*command)
        (path,) = here.rglob("*.json")
        before = path.stat().st_ino
        assert "1 to run" in metabench(*command, "--fresh").err
        (path,) = here.rglob("*.json")
        assert path.stat().st_ino != before

    def test_a_failed_cell_is_a_row_and_it_exits_with_1(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "trouble", "-a", "drifter", "--suite", suite)
        assert ended.code == 1
        assert "failed: ValueError: planted" in ended.out
        assert "1 of 2 cells failed; see the records in 'results/records'." in ended.err
        assert records_in(here / "results")["drifter"].status == "ok"

    def test_a_failed_cell_runs_again(
        self, metabench, suite: Path, here: Path, monkeypatch
    ) -> None:
        command = ("run", "-a", "trouble", "--suite", suite)
        assert metabench(*command).code == 1
        assert "0 stored, 1 to run" in metabench(*command).err

    def test_a_skipped_cell_is_not_a_failure(self, metabench, suite: Path, here: Path) -> None:
        ended = metabench("run", "-a", "trouble", "--suite", suite, "--set", "trouble.how=skip")
        assert ended.code == 0
        assert "skipped: trouble was asked to stay away." in ended.out

    def test_json_is_one_document_on_stdout_whatever_plugins_print(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench(
            *(
                "run",
                "-a",
                "trouble",
                "-a",
                "drifter",
                "--suite",
                suite,
                "--json",
                "--set",
                "trouble.how=noise",
            )
        )
        assert ended.code == 0
        assert {row["algorithm"]: row["status"] for row in ended.document} == {
            "trouble[how=noise]": "ok",
            "drifter": "ok",
        }
        assert "drifter on blobs-3w1s, seed 0" in ended.err

    def test_progress_is_plain_lines_without_a_terminal(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite)
        assert ESCAPE not in ended.err + ended.out
        assert "\r" not in ended.err
        score = records_in(here / "results")["drifter"].score
        assert ended.err.splitlines() == [
            "1 cell: 0 stored, 1 to run",
            "drifter on blobs-3w1s, seed 0: started",
            f"[1/1] drifter on blobs-3w1s, seed 0: accuracy {score:.4f}",
        ]

    def test_a_quick_run_is_marked_and_not_in_the_leaderboard(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--quick")
        assert "blobs-3w1s@1+quick" in ended.out
        board = metabench("leaderboard")
        assert board.code == 5
        assert "1 record(s) of --quick runs" in board.err
        assert "blobs-3w1s@1+quick" in metabench("leaderboard", "--quick").out

    def test_the_seeds_of_an_algorithm_are_one_row(
        self, metabench, suite: Path, here: Path
    ) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--seeds", "2", "--json")
        assert [row["seeds"] for row in ended.document] == [2]
        assert len(list(here.rglob("*.json"))) == 2

    def test_a_config_file_has_the_same_settings(self, metabench, suite: Path, here: Path) -> None:
        (here / "run.toml").write_text(
            f'algorithm = ["drifter", "trouble"]\nsuite = "{suite}"\nresults = "out"\n'
            '[set.trouble]\nhow = "skip"'
        )
        ended = metabench("run", "--config", "run.toml", "--dry-run", "--json")
        assert [row["algorithm"] for row in ended.document] == ["drifter", "trouble"]
        ended = metabench("run", "--config", "run.toml")
        assert ended.code == 0, ended.err
        assert records_in(here / "out")["trouble"].status == "skipped"

    def test_the_command_line_has_precedence_over_the_file(
        self, metabench, suite: Path, here: Path
    ) -> None:
        (here / "run.toml").write_text(
            f'algorithm = ["trouble"]\nsuite = "{suite}"\nseeds = [1, 2]'
        )
        ended = metabench(
            "run", "--config", "run.toml", "-a", "drifter", "--seeds", "7,", "--dry-run", "--json"
        )
        assert [(row["algorithm"], row["seed"]) for row in ended.document] == [("drifter", 7)]
        everything = metabench(
            "run", "--config", "run.toml", "--all", "--seeds", "1", "--dry-run", "--json"
        )
        assert {"drifter", "trouble", "maml"} <= {row["algorithm"] for row in everything.document}

    def test_an_invalid_file_among_the_records_is_named(
        self, metabench, suite: Path, here: Path
    ) -> None:
        (here / "results" / "records").mkdir(parents=True)
        (here / "results" / "records" / "odd.json").write_text("{")
        ended = metabench("run", "-a", "drifter", "--suite", suite)
        assert ended.code == 0
        assert "ignored: results/records/odd.json is not a record" in ended.err


class TestDryRun:
    @pytest.mark.usefixtures("in_process")
    def test_it_shows_the_state_of_every_cell_and_the_reason(
        self, metabench, suite: Path, here: Path
    ) -> None:
        metabench("run", "-a", "drifter", "--suite", suite)
        metabench("run", "-a", "trouble", "--suite", suite)
        ended = metabench(
            "run",
            "-a",
            "drifter",
            "-a",
            "trouble",
            "-a",
            "slow",
            "--suite",
            suite,
            "--dry-run",
            "--json",
        )
        assert ended.code == 0
        assert ended.document == [
            {
                "algorithm": "drifter",
                "benchmark": "blobs-3w1s",
                "seed": 0,
                "state": "stored",
                "why": "its record is there",
            },
            {
                "algorithm": "slow",
                "benchmark": "blobs-3w1s",
                "seed": 0,
                "state": "new",
                "why": "there is no record of it",
            },
            {
                "algorithm": "trouble",
                "benchmark": "blobs-3w1s",
                "seed": 0,
                "state": "new",
                "why": "the last attempt ended as failed",
            },
        ]

    def test_it_runs_and_writes_nothing(self, metabench, suite: Path, here: Path) -> None:
        ended = metabench("run", "-a", "slow", "--suite", suite, "--dry-run")
        assert ended.code == 0
        assert "there is no record of it" in ended.out
        assert list(here.iterdir()) == []


BAD_INPUT: list[tuple[tuple[str, ...], int, str, str]] = [
    (
        ("-a", "proto-net"),
        2,
        "unknown algorithm 'proto-net'. Did you mean 'protonet'?",
        "metabench list algorithms",
    ),
    (("-a", "zzz"), 2, "unknown algorithm 'zzz'.", "metabench list algorithms"),
    (
        ("-a", "drifter", "--suite", "cor"),
        2,
        "unknown suite 'cor'. Did you mean 'core'?",
        "metabench list suites",
    ),
    (
        ("-b", "glyphs-5w1z"),
        2,
        "unknown benchmark 'glyphs-5w1z'. Did you mean 'glyphs-5w1s'?",
        "metabench list",
    ),
    (("-a", "drifter", "--suite", "none.toml"), 2, "suite file 'none.toml' cannot be read", ""),
    (
        ("-a", "drifter", "--suite", "TINY", "--seeds", "x"),
        2,
        "--seeds 'x' is not valid.",
        "0,5,7",
    ),
    (
        ("-a", "drifter", "--config", "none.toml"),
        2,
        "configuration file 'none.toml' cannot be read",
        "",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--set", "lr"),
        2,
        "--set 'lr' is not valid.",
        "algorithm.parameter=value",
    ),
    (
        ("-a", "learner", "--suite", "TINY", "--set", "learner.lrr=1"),
        2,
        "no hyper-parameter 'lrr'",
        "It has lr",
    ),
    (
        ("-a", "learner", "--suite", "TINY", "--set", "learner.lr=big"),
        2,
        "lr = 'big' is not of type float",
        "0.01",
    ),
    (
        ("-a", "learner", "--suite", "TINY", "--set", "learner.lr=nan"),
        2,
        "is not a finite number",
        "",
    ),
    (
        ("-a", "learner", "--suite", "TINY", "--set", "learner.budget=x"),
        2,
        "not a number of examples",
        "0 means",
    ),
    (
        ("-a", "trouble", "--suite", "TINY", "--set", "trouble.how=x"),
        2,
        "not one of its values",
        "It can be raise",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--set", "learner.lr=1"),
        2,
        "'learner', which is not selected",
        "drifter",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--set", "learnr.lr=1"),
        2,
        "Did you mean 'learner'?",
        "",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--precision", "fp16"),
        2,
        "unknown precision 'fp16'",
        "highest, tf32, bf16",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--precision", "tf32"),
        2,
        "the device is cpu",
        "--precision bf16",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--device", "gpu"),
        2,
        "'gpu' is not a device.",
        "cpu, cuda",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--device", "cuda"),
        2,
        "PyTorch sees no CUDA device here",
        "--device cpu",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--device", "meta"),
        2,
        "device 'meta' is not supported",
        "cpu, cuda",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--results", "FILE/below"),
        2,
        "cannot be written",
        "--results",
    ),
    (
        ("-a", "drifter", "--suite", "TINY", "--results", "FILE"),
        2,
        "cannot be written",
        "--results",
    ),
    (
        ("-a", "drifter", "-b", "omniglot-5w1s", "--data", "empty"),
        2,
        "Omniglot is missing",
        "data download omniglot",
    ),
    (("-a", "drifter", "--suite", "TINY", "--jobs", "-1"), 2, "--jobs", ""),
    (("-a", "drifter", "--suite", "TINY", "--timeout", "0"), 2, "--timeout", ""),
    (("--all", "-a", "drifter"), 2, "--all and --algorithm exclude each other", ""),
    ((), 2, "no algorithm or benchmark was given", "Give --all"),
    (("--bananas",), 2, "No such option", ""),
]


@pytest.mark.parametrize(
    ("arguments", "code", "says", "hint"), BAD_INPUT, ids=lambda v: str(v)[:60]
)
def test_bad_input_is_one_clear_message_and_leaves_nothing(
    metabench,
    suite: Path,
    here: Path,
    monkeypatch,
    arguments: tuple[str, ...],
    code: int,
    says: str,
    hint: str,
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (here / "FILE").write_text("I am no folder")
    ended = metabench("run", *(str(suite) if word == "TINY" else word for word in arguments))
    assert ended.code == code
    assert says in ended.err
    assert hint in ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""
    assert [path.name for path in here.iterdir()] == ["FILE"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"ways": 9}, "9-way episodes cannot be drawn from the 6 classes"),
        ({"shots": 6}, "6 shots and 3 queries need 9 examples of a class"),
        ({"ways": 1}, "at least 2 ways"),
        ({"metrics": ("acuracy",)}, "unknown metric 'acuracy'. Did you mean 'accuracy'?"),
        ({"dataset": "blubs"}, "unknown dataset 'blubs'. Did you mean 'blobs'?"),
        ({"sho": 1}, "there is no such key"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_an_invalid_benchmark_is_one_clear_message(
    metabench, planted, here: Path, tmp_path, change, says
) -> None:
    suite = suite_file(tmp_path / "bad.toml", BLOBS | change)
    ended = metabench("run", "-a", "drifter", "--suite", suite)
    assert ended.code == 2
    assert says in ended.err
    assert (ended.out, list(here.iterdir())) == ("", [])


def test_an_unknown_key_of_a_config_file_is_one_clear_message(
    metabench, planted, here: Path
) -> None:
    (here / "run.toml").write_text("sedes = [1]")
    ended = metabench("run", "--config", "run.toml")
    assert ended.code == 2
    assert ended.err.splitlines()[0] == (
        "error: configuration file 'run.toml': unknown key 'sedes'. Did you mean 'seeds'?"
    )
    assert "\n       The keys are algorithm" in ended.err


def test_debug_raises_the_error() -> None:
    from metabench.cli import main
    from metabench.errors import UnknownName

    with pytest.raises(UnknownName):
        main(["--debug", "run", "-a", "zzz"])


def test_a_read_only_folder_is_an_error_before_anything_runs(
    metabench, suite, here, monkeypatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("metabench.utils.files.tempfile.mkstemp", refuse)
    ended = metabench("run", "-a", "slow", "--suite", suite)
    assert ended.code == 2
    assert "the results folder 'results' cannot be written: Permission denied." in ended.err
    assert ended.out == ""


def wait_for(condition: Callable[[], Any], seconds: float = 240.0) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)
    return found


def children_of(pid: int) -> list[int]:
    paths = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in paths for child in path.read_text().split()]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@contextlib.contextmanager
def running(*arguments: object, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """``metabench`` as a process of its own, ended at the latest with the test."""
    command = [sys.executable, "-m", "metabench", *map(str, arguments)]
    # Where the tests run in the background of a shell, an interrupt is ignored, and would be here.
    options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    with subprocess.Popen(command, env=child_environment(), text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.timeout(600)  # two processes import torch, one after the other
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_the_workers_and_keeps_finished_cells(
    metabench, suite, here: Path, tmp_path, monkeypatch, number: signal.Signals
) -> None:
    command = ("run", "-a", "drifter", "-a", "slow", "--suite", suite, "--jobs", 2, "--json")
    with running(*command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        wait_for(lambda: list(here.rglob("drifter-*.json")))
        wait_for(lambda: len(children_of(process.pid)) == 1)
        (worker,) = children_of(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert not is_alive(worker)
    assert "interrupted; finished cells are stored." in err
    assert "Traceback" not in err
    assert out == ""
    records = records_in(here / "results")
    assert {name: record.status for name, record in records.items()} == {
        "drifter": "ok",
        "slow": "interrupted",
    }

    monkeypatch.setenv("PLANTED_SECONDS", "0")
    again = metabench(*command)
    assert again.code == 0, again.err
    assert "2 cells: 1 stored, 1 to run" in again.err
    assert {row["algorithm"]: row["status"] for row in again.document} == {
        "drifter": "ok",
        "slow": "ok",
    }
    assert records_in(here / "results")["drifter"] == records["drifter"]


def test_a_cell_that_takes_too_long_has_the_status_timeout(
    metabench, suite: Path, here: Path
) -> None:
    ended = metabench("run", "-a", "slow", "--suite", suite, "--timeout", "3", "--json")
    assert ended.code == 1
    assert [(row["status"], row["reason"]) for row in ended.document] == [
        ("timeout", "it took longer than 3 s")
    ]
    assert records_in(here / "results")["slow"].status == "timeout"


@pytest.mark.timeout(600)
def test_a_terminal_shows_bars(suite: Path, here: Path, monkeypatch) -> None:
    """On a real terminal: colours, a bar for each cell, and the table at the end."""
    monkeypatch.setenv("PLANTED_SECONDS", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("NO_COLOR", raising=False)
    ours, theirs = pty.openpty()
    shown = b""
    try:
        with running(
            "run", "-a", "slow", "--suite", suite, cwd=here, stdout=theirs, stderr=theirs
        ) as process:
            os.close(theirs)
            end = time.monotonic() + 240
            while time.monotonic() < end:
                if select.select([ours], [], [], 0.2)[0]:
                    try:
                        shown += os.read(ours, 65536)
                    except OSError:  # the other side is closed
                        break
            assert process.wait(timeout=30) == 0
    finally:
        os.close(ours)
    text = shown.decode()
    assert ESCAPE in text
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
    assert "all cells" in plain
    assert (
        "slow on blobs-3w1s, seed 0: meta-test" in plain
        or "slow on blobs-3w1s, seed 0: loading" in plain
    )
    assert "slow on blobs-3w1s, seed 0: accuracy" in plain
    assert "blobs-3w1s@1: accuracy on 30 episodes" in plain


@pytest.mark.usefixtures("in_process")
class TestMetrics:
    def test_the_option_selects_the_metrics(self, metabench, suite: Path, here: Path) -> None:
        command = ("run", "-a", "drifter", "--suite", suite)
        assert metabench(*command, "--metrics", "accuracy, cost").code == 0
        assert set(records_in(here / "results")["drifter"].metrics) == {"accuracy", "cost"}
        assert metabench(*command, "--dry-run", "--json").document[0]["state"] == "stored"
        ended = metabench(*command, "--metrics", "mse", "--dry-run", "--json")
        assert ended.document[0]["why"] == "it was not measured for mse"
        assert metabench(*command, "--metrics", "mse").code == 0
        metrics = records_in(here / "results")["drifter"].metrics
        assert {name: m.status for name, m in metrics.items()} == {
            "accuracy": "ok",
            "cost": "ok",
            "mse": "n/a",
        }

    def test_an_unknown_metric_is_an_error(self, metabench, suite: Path, here: Path) -> None:
        ended = metabench("run", "-a", "drifter", "--suite", suite, "--metrics", "accuracy,noize")
        assert ended.code == 2
        assert "unknown metric 'noize'. Did you mean 'noise'?" in ended.err
        assert list(here.iterdir()) == []

    def test_a_config_file_can_select_the_metrics(self, metabench, suite: Path, here: Path) -> None:
        (here / "run.toml").write_text(
            f'algorithm = ["drifter"]\nsuite = "{suite}"\nmetrics = ["cost"]'
        )
        assert metabench("run", "--config", "run.toml").code == 0
        assert set(records_in(here / "results")["drifter"].metrics) == {"accuracy", "cost"}
