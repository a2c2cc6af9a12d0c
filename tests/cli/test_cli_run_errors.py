"""Invalid input of ``metabench run``: one message on stderr, and nothing is run or written."""

from pathlib import Path

import pytest

from tests.helpers.cells import BLOBS, suite_file

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
