"""Meta-training on one data set and meta-test on another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from metabench import ClassDataset, ClassPool
from metabench.benchmarks.cross_domain import CrossDomain
from metabench.benchmarks.model import load_suites
from metabench.benchmarks.tasks import BenchmarkTasks, open_dataset
from metabench.config import Selection
from metabench.datasets.sinusoid import Sinusoid
from metabench.errors import ConfigError, DataError, UnknownName, UsageError
from metabench.plugins import Plugins
from metabench.registry import Spec
from metabench.running.plan import plan
from tests.helpers.cells import BLOBS, blobs, cell, run_here, suite_file, tasks_of, waves

SIDE = 16


class Spots(ClassDataset):
    """Dark patterns instead of bright ones; ``borrowed`` uses classes of the blobs."""

    name, version, input_shape = "spots", "1", (1, SIDE, SIDE)

    def __init__(self, root: Path | None = None, *, borrowed: bool = False, shade: int = 0) -> None:
        super().__init__(root)
        self.borrowed, self.shade = borrowed, shade

    def pool(self, split: Any) -> ClassPool:
        generator = torch.Generator().manual_seed({"train": 1, "validation": 2, "test": 3}[split])
        patterns = (
            torch.randint(0, 2, (7, 1, *self.input_shape), generator=generator) * 60 + self.shade
        )
        images = (
            patterns + torch.randint(0, 30, (7, 9, *self.input_shape), generator=generator)
        ).byte()
        names = tuple(f"spot {split} {i}" for i in range(7))
        origins = tuple(f"train{i}" for i in range(7)) if self.borrowed else ()
        return ClassPool(images, names, origins=origins)


class Wide(Spots):
    name, input_shape = "wide", (1, SIDE, 2 * SIDE)


@pytest.fixture
def world(planted: Plugins) -> Plugins:
    for kind in (Spots, Wide):
        planted.registry.add("dataset", Spec(kind.name, kind))
    return planted


ABROAD = blobs(test_dataset="spots")


def test_only_the_test_episodes_come_from_the_other_data_set(world) -> None:
    home, abroad = tasks_of(world, blobs()), tasks_of(world, ABROAD)
    names = {split: pool.class_names[0] for split, pool in abroad.pools.items()}
    assert names == {"train": "train0", "validation": "validation0", "test": "spot test 0"}
    shown = abroad.held_out("test").range(0, 20)
    assert float(shown.query_x.max()) < 90 / 255  # as dark as spots are
    for split in ("train", "validation"):
        assert home.pools[split].digest == abroad.pools[split].digest


def test_a_cell_is_trained_on_one_data_set_and_tested_on_the_other(world) -> None:
    home, abroad = (run_here(world, cell("learner", benchmark)) for benchmark in (blobs(), ABROAD))
    assert abroad.status == "ok", abroad.reason
    assert abroad.training.curve  # validated at home
    assert abroad.episode_digest != home.episode_digest
    assert len(abroad.metrics["accuracy"].episodes) == 30


def test_the_key_covers_the_test_data(world) -> None:
    digests = {
        tasks_of(world, benchmark).data_digest
        for benchmark in (
            blobs(),
            ABROAD,
            blobs(test_dataset="spots", test_dataset_options={"shade": 9}),
            waves(),
        )
    }
    assert len(digests) == 4


def test_a_benchmark_with_one_data_set_has_the_digest_of_that(world) -> None:
    own = blobs(test_dataset="blobs")
    assert tasks_of(world, own).data_digest == tasks_of(world, blobs()).data_digest


class TestLeakage:
    def test_origins_that_both_data_sets_share_are_a_leak(self, world) -> None:
        leaky = blobs(test_dataset="spots", test_dataset_options={"borrowed": True})
        record = run_here(world, cell("learner", leaky))
        assert record.status == "failed"
        assert "were seen in meta-training" in record.reason

    def test_other_origins_are_not_a_leak(self, world) -> None:
        assert run_here(world, cell("learner", ABROAD)).status == "ok"

    def test_a_character_of_omniglot_has_the_same_origin_in_every_split(self) -> None:
        """Meta-test classes of one split are meta-training classes of another."""
        from metabench.datasets.omniglot.layout import official_halves
        from metabench.datasets.omniglot.splits import SPLITTERS

        parts = {name: split(official_halves()) for name, split in SPLITTERS.items()}
        assert set(parts["vinyals"]["train"]) & set(parts["background-evaluation"]["test"])


class TestWhatCannotBe:
    def plan(self, world: Plugins, where: Path, **change: Any) -> None:
        suite = suite_file(where / "odd.toml", BLOBS | change)
        plan(world.registry, Selection(algorithm=("learner",), suite=str(suite)), [])

    @pytest.mark.parametrize(
        ("change", "error", "says"),
        [
            (
                {"test_dataset": "wide"},
                ConfigError,
                "'blobs' (classes of [1, 16, 16]), and cannot be tested on",
            ),
            ({"test_dataset": "sinusoid"}, ConfigError, "'sinusoid' (regression from [1] to 1)"),
            (
                {"test_dataset": "spot"},
                UnknownName,
                "unknown dataset 'spot'. Did you mean 'spots'?",
            ),
            (
                {"test_dataset": "spots", "test_dataset_options": {"x": 1}},
                ConfigError,
                "no option 'x'",
            ),
            ({"test_dataset_options": {"shade": 1}}, ConfigError, "need a test_dataset"),
            (
                {"test_dataset": "spots", "ways": 7},
                Exception,
                "7-way episodes cannot be drawn from the 6",
            ),
        ],
        ids=lambda value: str(value)[:40],
    )
    def test_data_sets_that_do_not_match_are_an_error_before_anything_runs(
        self, world, tmp_path, change, error, says
    ) -> None:
        with pytest.raises(error) as caught:
            self.plan(world, tmp_path, **change)
        assert says in str(caught.value)

    def test_both_data_sets_are_announced_before_they_are_read(self, world, tmp_path: Path) -> None:
        suite = suite_file(tmp_path / "two.toml", BLOBS | {"test_dataset": "spots"})
        opened: list[str] = []
        plan(
            world.registry,
            Selection(algorithm=("learner",), suite=str(suite)),
            [],
            on_open=opened.append,
        )
        assert opened == ["blobs", "spots"]

    def test_a_missing_test_data_set_is_an_error(self, world) -> None:
        home = open_dataset(world.registry, "blobs", None, {})
        with pytest.raises(UsageError, match="is tested on 'spots'"):
            BenchmarkTasks(ABROAD, home, torch.device("cpu"))


class Ramps(Sinusoid):
    """Another family of functions."""

    name = "ramps"

    def evaluate(
        self, parameters: torch.Tensor, inputs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x, _ = super().evaluate(parameters, inputs)
        return x, x * parameters[:, :1].unsqueeze(1)


def test_families_of_functions_can_differ_too(world) -> None:
    world.registry.add("dataset", Spec("ramps", Ramps))
    tasks = tasks_of(world, waves(test_dataset="ramps"))
    episodes = tasks.held_out("test").range(0, 3)
    slope = episodes.query_y / episodes.query_x
    assert torch.allclose(slope, slope[:, :1].expand_as(slope), atol=1e-4)
    assert tasks.data_digest != tasks_of(world, waves()).data_digest


class Borrowed(Spots):
    """Has the classes that training on the blobs draws."""

    name = "borrowed"

    def __init__(self, root: Path | None = None) -> None:
        super().__init__(root, borrowed=True)


class Absent(Spots):
    """A data set whose files are missing."""

    name = "absent"

    def pool(self, split: Any) -> Any:
        raise DataError("no such file")


class TestMetric:
    """A metric that tests a trained algorithm on other data sets."""

    def shift(self, world: Plugins, *elsewhere: str) -> dict[str, Any]:
        options = {"shift": {"episodes": 30, "angles": (), "scales": (), "elsewhere": elsewhere}}
        record = run_here(
            world, cell("learner", blobs(metrics=("accuracy", "shift"), metric_options=options))
        )
        assert record.metrics["shift"].status == "ok", record.metrics["shift"].reason
        return record.metrics["shift"].values

    def test_the_episodes_are_those_of_a_benchmark_with_that_test_data_set(self, world) -> None:
        home = CrossDomain(tasks_of(world, blobs()), world.registry, None)("spots")
        assert home.digest(30) == tasks_of(world, ABROAD).held_out("test").digest(30)

    def test_the_score_is_that_of_a_cell_with_that_test_data_set(self, world) -> None:
        found = self.shift(world, "spots")
        abroad = run_here(world, cell("learner", ABROAD)).metrics["accuracy"]
        assert found["elsewhere"]["datasets"]["spots"]["score"] == pytest.approx(abroad.mean)
        assert found["elsewhere"]["datasets"]["spots"]["ci95"] == pytest.approx(abroad.ci95)
        assert found["elsewhere"]["drop"] == pytest.approx(found["clean"] - abroad.mean)

    def test_several_data_sets_have_equal_weight(self, world) -> None:
        found = self.shift(world, "spots", "blobs")["elsewhere"]
        assert found["datasets"].keys() == {"spots", "blobs"}
        assert found["datasets"]["blobs"]["data"] != found["datasets"]["spots"]["data"]
        scores = [one["score"] for one in found["datasets"].values()]
        assert found["score"] == pytest.approx(sum(scores) / 2)

    def test_the_training_data_are_not_read_again(
        self, world, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tasks_of(world, blobs())
        assert set(home.pools) == {"train", "validation", "test"}
        read: list[str] = []
        monkeypatch.setattr(type(home.dataset), "pool", lambda self, split: read.append(split))
        CrossDomain(home, world.registry, None)("spots").range(0, 1)
        assert read == []

    @pytest.mark.parametrize(
        ("elsewhere", "error", "says"),
        [
            ("gone", UnknownName, "gone"),
            ("absent", DataError, "no such file"),
            ("ramps", ConfigError, "ramps"),
        ],
    )
    def test_missing_data_are_an_error_before_anything_is_trained(
        self, world, tmp_path: Path, elsewhere: str, error: type[Exception], says: str
    ) -> None:
        world.registry.add("dataset", Spec("absent", Absent))
        world.registry.add("dataset", Spec("ramps", Ramps))
        shifted = BLOBS | {"metric_options": {"shift": {"elsewhere": [elsewhere]}}}
        suite = suite_file(tmp_path / "shifted.toml", shifted)
        chosen = Selection(algorithm=("learner",), suite=str(suite), metrics=("shift",))
        with pytest.raises(error, match=says):
            plan(world.registry, chosen, [])
        opened: list[str] = []
        (planned,) = plan(
            world.registry, replace(chosen, metrics=("accuracy",)), [], on_open=opened.append
        )
        assert planned.state == "new"
        assert opened == ["blobs"]

    def test_without_the_option_there_is_no_value(self, world) -> None:
        assert "elsewhere" not in self.shift(world)

    @pytest.mark.parametrize(
        ("dataset", "says"),
        [
            (
                "borrowed",
                "classes in the test split of 'borrowed' episodes were seen in meta-training",
            ),
            ("wide", "cannot be tested on 'wide'"),
            ("sinusoid", "regression from [1] to 1"),
            ("spot", "unknown dataset 'spot'"),
        ],
    )
    def test_an_unusable_data_set_fails_only_its_own_value(self, world, dataset, says) -> None:
        world.registry.add("dataset", Spec("borrowed", Borrowed))
        found = self.shift(world, dataset)
        assert says in found["elsewhere"]["failed"]
        assert found["query"]["inverted"]["drop"] is not None


def test_the_suite_shift_has_both_directions() -> None:
    suite = load_suites(Plugins(only=()).registry)["shift"]
    ways = {(b.dataset, b.test_dataset) for b in suite.benchmark}
    assert {("glyphs", "omniglot"), ("omniglot", "glyphs")} <= ways
