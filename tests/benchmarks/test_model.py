import re
from pathlib import Path

import pytest

from metabench.benchmarks.model import (
    Augmentation,
    Benchmark,
    Suite,
    collect_benchmarks,
    load_suites,
    read_suite,
)
from metabench.errors import ConfigError
from metabench.plugins import Plugins
from metabench.running.selection import check_benchmark
from tests.helpers.cells import BLOBS, blobs, suite_file

PYTHON_WORDS = {"tuple", "dict", "dictionary", "Input", "input", "True", "False", "boolean", "str"}


@pytest.fixture(scope="module")
def shipped() -> dict[str, Suite]:
    return load_suites(Plugins(only=()).registry)


def test_the_suites_that_ship_name_only_what_is_installed(shipped: dict[str, Suite]) -> None:
    registry = Plugins(only=()).registry
    assert {"core", "omniglot"} <= shipped.keys()
    for benchmark in collect_benchmarks(shipped.values()).values():
        registry.get("dataset", benchmark.dataset)
        registry.get("backbone", benchmark.backbone)
        for metric in benchmark.metrics:
            registry.get("metric", metric)


def test_the_suites_that_ship_have_only_valid_metric_options(shipped: dict[str, Suite]) -> None:
    registry = Plugins(only=()).registry
    for benchmark in collect_benchmarks(shipped.values()).values():
        check_benchmark(registry, benchmark)


def test_the_suite_core_measures_every_family(shipped: dict[str, Suite]) -> None:
    measured = {name for benchmark in shipped["core"].benchmark for name in benchmark.metrics}
    # Whether queries influence each other is part of every record, as its track.
    assert measured | {"transduction"} == set(Plugins(only=()).registry.names("metric"))


def test_the_budgets_that_ship_are_whole_numbers_of_tasks(shipped: dict[str, Suite]) -> None:
    for benchmark in collect_benchmarks(shipped.values()).values():
        assert benchmark.protocol.examples <= benchmark.budget // benchmark.validations


def test_a_quick_benchmark_is_smaller_and_has_another_title() -> None:
    full = blobs(budget=48_000, test_episodes=600, validation_episodes=200, validations=10)
    quick = full.quickened()
    assert quick.title == "blobs-3w1s@1+quick"
    assert quick.budget < full.budget
    assert quick.test_episodes < full.test_episodes
    assert quick.validation_episodes < full.validation_episodes
    assert quick.protocol == full.protocol


def test_a_quick_benchmark_is_never_larger_than_the_full_one() -> None:
    small = blobs(budget=5, test_episodes=7, validation_episodes=3, validations=1)
    quick = small.quickened()
    assert (quick.budget, quick.test_episodes, quick.validation_episodes, quick.validations) == (
        1,
        7,
        3,
        1,
    )


def test_reading_the_protocol_does_not_change_a_benchmark() -> None:
    first, second = blobs(), blobs()
    assert first.protocol.ways == 3
    assert first == second
    assert Benchmark.model_validate(first.model_dump(mode="json")) == second


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"shotz": 1},
            "benchmark 'blobs-3w1s', shotz: there is no such key. Did you mean 'shots'?",
        ),
        (
            {"augmentation": {"mirrored": True}},
            "augmentation.mirrored: there is no such key. Did you mean 'mirror'?",
        ),
        ({"ways": 1}, "at least 2 ways"),
        ({"ways": -3}, "ways: it must be greater than or equal to 0 (it is -3)"),
        (
            {"shots": 0},
            "benchmark 'blobs-3w1s', shots: it must be greater than or equal to 1 (it is 0)",
        ),
        ({"shots": "many"}, "shots: it must be an integer (it is 'many')"),
        ({"budget": 0}, "budget: it must be greater than 0 (it is 0)"),
        ({"metrics": ()}, "metrics: it must have at least 1 item (it is [])"),
        ({"name": "No Such Name"}, "benchmark 1, name: it must match ^[a-z0-9]"),
        ({"version": "../1"}, "version: it must match ^[A-Za-z0-9]"),
        ({"ways": 5.0}, "ways: it must be an integer (it is 5.0)"),
        ({"ways": True}, "ways: it must be an integer (it is true)"),
        ({"ways": 1}, "ways: an episode has at least 2 ways, or 0 in regression (it is 1)"),
        ({"budget": "24_000"}, "budget: it must be an integer (it is '24_000')"),
        ({"dataset": 3}, "dataset: it must be text (it is 3)"),
        ({"dataset_options": 3}, "dataset_options: it must be a table (it is 3)"),
        ({"dataset_options": {"a": [1]}}, "dataset_options.a: it must be a finite number, text, "),
        ({"metrics": "accuracy"}, "metrics: it must be an array (it is 'accuracy')"),
        ({"metrics": ("accuracy", 3)}, "metrics.1: it must be text (it is 3)"),
        ({"metrics": ("accuracy", "accuracy")}, "metrics: 'accuracy' is in it twice"),
        ({"metric_options": {"cost": 3}}, "metric_options.cost: it must be a table (it is 3)"),
        (
            {"metric_options": {"noise": {"flips": {}}}},
            "metric_options.noise.flips: it must be a finite number, text, true or false, "
            "or an array of these",
        ),
        ({"test_dataset_options": {"a": 1}}, "test_dataset_options need a test_dataset"),
        ({"augmentation": {"shift": -1}}, "augmentation.shift: it must be greater than or equal"),
        ({"augmentation": {"shift": 0.5}}, "augmentation.shift: it must be an integer (it is 0.5)"),
        ({"augmentation": {"mirror": "often"}}, "augmentation.mirror: it must be true or false"),
        ({"augmentation": {"turn": True}}, "augmentation.turn: there is no such key"),
        ({"augmentation": {"shift": 1}, "ways": 0}, "augmentation is for images of classes"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_an_invalid_suite_file_is_an_error_with_key_and_reason(
    tmp_path: Path, change: dict, says: str
) -> None:
    path = suite_file(tmp_path / "bad.toml", BLOBS | change)
    with pytest.raises(ConfigError) as caught:
        read_suite(path)
    first, *lines = caught.value.message.splitlines()
    assert str(path) in first
    assert len(lines) == 1, "nothing else is wrong"
    assert says in lines[0]
    assert "benchmark 1" in lines[0] or "benchmark 'blobs-3w1s'" in lines[0]
    assert not PYTHON_WORDS & set(re.findall(r"\w+", lines[0]))


@pytest.mark.parametrize("value", ["true", "false"])
def test_quick_is_not_a_key_of_a_file(tmp_path: Path, value: str) -> None:
    path = suite_file(tmp_path / "bad.toml")
    path.write_text(f"{path.read_text()}\nquick = {value}")
    with pytest.raises(ConfigError, match="quick: there is no such key; `--quick` is an option"):
        read_suite(path)
    stored = blobs().quickened()
    assert Benchmark.model_validate_json(stored.model_dump_json()) == stored


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["name: it is missing", "benchmark: it is missing"]),
        ("name = 'x'\nbenchmark = 3", ["benchmark: it must be an array (it is 3)"]),
        ("name = 'x'\nbenchmark = [3]", ["benchmark 1: it must be a table (it is 3)"]),
        ("name = 'x'\nbenchmark = []", ["benchmark: it must have at least 1 item (it is [])"]),
        (
            "nam = 'x'\nbenchmark = []",
            [
                "name: it is missing",
                "benchmark: it must have at least 1 item (it is [])",
                "nam: there is no such key. Did you mean 'name'?",
            ],
        ),
    ],
    ids=["empty", "number", "array of numbers", "empty array", "misspelt key"],
)
def test_the_error_of_a_suite_names_each_key_of_the_file_once(
    tmp_path: Path, text: str, says: list[str]
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_suite(path)
    assert [line.strip() for line in caught.value.message.splitlines()[1:]] == says


@pytest.mark.parametrize("name", ["", "../a b", "a/b", ".hidden", "x" * 81])
def test_a_name_that_cannot_be_typed_after_suite_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="name: it must"):
        read_suite(suite_file(tmp_path / "bad.toml", name=name))


def test_the_error_of_a_key_that_is_missing_does_not_show_its_table(tmp_path: Path) -> None:
    without = {key: value for key, value in BLOBS.items() if key != "dataset"}
    path = suite_file(tmp_path / "bad.toml", without)
    with pytest.raises(ConfigError) as caught:
        read_suite(path)
    (line,) = caught.value.message.splitlines()[1:]
    assert line.strip() == "benchmark 'blobs-3w1s', dataset: it is missing"


def test_the_augmentation_of_a_benchmark_is_read_from_its_file(tmp_path: Path) -> None:
    augmented = BLOBS | {"augmentation": {"shift": 2, "mirror": True}}
    suite = read_suite(suite_file(tmp_path / "tiny.toml", augmented))
    assert suite.benchmark[0].augmentation == Augmentation(shift=2, mirror=True)
    assert suite.benchmark[0].augmentation
    assert not blobs().augmentation
    assert suite.benchmark[0].scored != blobs().scored  # scores depend on it


def test_the_error_of_a_suite_lists_everything_that_is_wrong(tmp_path: Path) -> None:
    path = suite_file(tmp_path / "bad.toml", BLOBS | {"shots": 0, "budget": 0, "colour": "red"})
    with pytest.raises(ConfigError) as caught:
        read_suite(path)
    assert all(key in caught.value.message for key in ("shots", "budget", "colour"))


@pytest.mark.parametrize(
    "content", [b"name = ", b"\xff\xfe", None], ids=["no TOML", "no text", "missing"]
)
def test_a_file_that_is_not_a_suite_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "suite.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"suite\.toml' cannot be read"):
        read_suite(path)


def test_two_suites_may_share_a_benchmark_but_not_a_name() -> None:
    here, there = Suite(name="a", benchmark=(blobs(),)), Suite(name="b", benchmark=(blobs(),))
    assert list(collect_benchmarks([here, there])) == ["blobs-3w1s"]
    other = Suite(name="c", benchmark=(blobs(shots=2),))
    with pytest.raises(ConfigError, match="blobs-3w1s"):
        collect_benchmarks([here, other])
