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
    assert measured == set(Plugins(only=()).registry.names("metric"))


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
        ({"shotz": 1}, "benchmark.0.shotz: there is no such key"),
        ({"ways": 1}, "at least 2 ways"),
        ({"ways": -3}, "greater than or equal to 0 (it is -3)"),
        ({"shots": 0}, "benchmark.0.shots"),
        ({"shots": "many"}, "valid integer"),
        ({"budget": 0}, "benchmark.0.budget"),
        ({"metrics": ()}, "benchmark.0.metrics"),
        ({"name": "No Such Name"}, "benchmark.0.name"),
        ({"version": "../1"}, "benchmark.0.version"),
        ({"augmentation": {"shift": -1}}, "benchmark.0.augmentation.shift"),
        ({"augmentation": {"shift": 0.5}}, "benchmark.0.augmentation.shift"),
        ({"augmentation": {"mirror": "often"}}, "benchmark.0.augmentation.mirror"),
        ({"augmentation": {"turn": True}}, "benchmark.0.augmentation.turn: there is no such key"),
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
    assert says in caught.value.message
    assert str(path) in caught.value.message


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
