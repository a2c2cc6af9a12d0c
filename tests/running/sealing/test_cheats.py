"""Planted cheats: each works where the algorithm has the answers, and not in a sealed cell."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from metabench.benchmarks.model import Benchmark
from metabench.benchmarks.salt import salt_digest
from metabench.benchmarks.tasks import open_tasks
from metabench.compare import compare
from metabench.config import SALT_VARIABLE
from metabench.episodes import ClassSampler
from metabench.executors.processes import ProcessExecutor
from metabench.leaderboard.verify import problems_of
from metabench.metrics.accuracy.metric import Accuracy
from metabench.plugins import Plugins, installed_plugins
from metabench.records.schema import Record
from metabench.running.job import Job, Terms
from metabench.running.run_cell import Conditions, run_cell
from metabench.testing import check_algorithm
from tests.helpers.cells import blobs, cell, make_record, run_here, tasks_of
from tests.helpers.cheats import metabench_cheats as cheats

CHEATS = Path(cheats.__file__).parent
SALT = "a maintainer's secret"
CHANCE = pytest.approx(1 / 3)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.setenv(cheats.FOLDER, str(tmp_path))
    return tmp_path


@pytest.fixture
def plugins(planted, folder: Path, monkeypatch) -> Plugins:
    """The data sets of one plugin and the cheats of another."""
    info = folder / "metabench_cheats-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: metabench-cheats\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[metabench]\ncheats = metabench_cheats\n")
    places = [str(folder), str(CHEATS)]
    for place in places:
        monkeypatch.syspath_prepend(place)
    monkeypatch.setenv("PYTHONPATH", ":".join([*places, os.environ["PYTHONPATH"]]))
    monkeypatch.setenv("METABENCH_PLUGINS", "planted,cheats")
    # What a cheat replaces in this process is put back.
    monkeypatch.setattr(Accuracy, "scores", Accuracy.scores)
    monkeypatch.setattr(ClassSampler, "assemble", ClassSampler.assemble)
    installed_plugins.cache_clear()
    return installed_plugins()


@pytest.fixture
def sealed(plugins) -> Callable[..., Record]:
    """Run a cheat in a sealed cell."""

    def run(name: str, benchmark: Benchmark | None = None, salt: str = "") -> Record:
        conditions = Conditions(episodes_salt=salt)
        job = Job(cell(name, benchmark), "a" * 64, conditions, ("metabench-planted",))
        (record,) = ProcessExecutor(Terms(plugins.registry)).run([job])
        return record

    return run


@pytest.mark.parametrize(
    "name", ["frames", "collector", "pool-reader", "metric-replacer", "sampler-replacer"]
)
def test_a_cheat_that_reaches_the_answers_in_one_process_does_not_in_a_sealed_cell(
    plugins, sealed, name: str
) -> None:
    here, apart = run_here(plugins, cell(name)), sealed(name)
    assert (here.status, apart.status) == ("ok", "ok"), here.reason + apart.reason
    assert (here.score, here.sealed) == (1.0, False)
    assert (apart.score, apart.sealed) == (CHANCE, True)
    assert apart.episode_digest == here.episode_digest


class TestMemory:
    @pytest.fixture
    def memory(self, plugins, folder: Path) -> None:
        """Look at the public test episodes once."""
        batch = tasks_of(plugins, blobs()).held_out("test").range(0, 30)
        known = {
            cheats.content(x): y.tolist()
            for x, y in zip(batch.support_x, batch.query_y, strict=True)
        }
        (folder / "memory.json").write_text(json.dumps(known))

    def test_a_salt_exposes_it_and_compare_says_so(self, memory, sealed) -> None:
        public = sealed("memory")
        salted = sealed("memory", blobs().salted(salt_digest(SALT)), SALT)
        assert (public.score, salted.score) == (1.0, CHANCE)
        for record in (public, salted):  # 30 episodes: enough for a difference this large
            assert record.status == "ok"
        (row,) = compare([public], [salted]).rows
        assert row.verdict == "worse"
        assert row.reason == "the public score does not hold on the salted episodes"

    def test_the_process_of_the_algorithm_does_not_know_the_salt(
        self, sealed, folder: Path, monkeypatch
    ) -> None:
        monkeypatch.setenv(SALT_VARIABLE, SALT)
        (folder / "salt.masked").write_bytes(bytes(b ^ 1 for b in SALT.encode()))
        record = sealed("salt-reader", blobs().salted(salt_digest(SALT)), SALT)
        assert record.status == "ok", record.reason + record.traceback
        assert json.loads((folder / "found.json").read_text()) == 0

    def test_in_one_process_it_finds_the_salt(self, plugins, folder: Path) -> None:
        (folder / "salt.masked").write_bytes(bytes(b ^ 1 for b in SALT.encode()))
        salted = blobs().salted(salt_digest(SALT))
        run_cell(cell("salt-reader", salted), plugins.registry, Conditions(episodes_salt=SALT))
        assert json.loads((folder / "found.json").read_text()) > 0


def test_statistics_of_the_query_batch_are_found_by_the_transduction_metric(sealed) -> None:
    record = sealed("batch-reader", blobs(metrics=("accuracy", "transduction")))
    assert record.metrics["transduction"].values["transductive"] is True


class TestState:
    def test_a_buffer_is_put_back_after_each_episode_and_noted(self, sealed) -> None:
        record, honest = sealed("hoarder"), sealed("honest")
        assert record.notes == ["adaptation changed seen; it was put back"]
        assert record.metrics["accuracy"].episodes == honest.metrics["accuracy"].episodes

    def test_the_conformance_check_finds_it_before_a_run(self, plugins) -> None:
        cls = plugins.registry.get("algorithm", "hoarder").load()
        report = check_algorithm(cls, checks=["no-state"])
        assert not report.ok


class TestRecords:
    def test_a_record_on_every_open_pipe_is_not_the_record_of_the_cell(
        self, sealed, folder: Path
    ) -> None:
        forged = make_record("record-writer", (1.0,) * 30)
        (folder / "record.json").write_text(forged.model_dump_json())
        record = sealed("record-writer")
        assert record.status == "failed"
        assert "the process of the algorithm sent nonsense" in record.reason
        assert record.score is None

    def test_a_record_in_an_event_is_not_forwarded(self, sealed, folder: Path) -> None:
        forged = make_record("event-forger", (1.0,) * 30)
        (folder / "record.json").write_text(forged.model_dump_json())
        record = sealed("event-forger")
        assert (record.status, record.score) == ("ok", CHANCE)

    def test_verify_finds_a_record_that_nobody_ran(self, sealed, folder: Path) -> None:
        record = sealed("honest")
        record.metrics["accuracy"].episodes = [1.0] * 30
        (problem, *_) = problems_of([record], [], folder)
        assert "its accuracy" in problem
        unknown = make_record("maml", (1.0,) * 30)
        (problem, *_) = problems_of([unknown], [], folder)
        assert "its key begins with" in problem


def test_the_harness_does_not_open_the_test_split_for_an_algorithm(sealed) -> None:
    record = sealed("test-opener")
    assert record.status == "failed"
    assert "the test split of 'blobs-3w1s' is not opened in this process" in record.reason


def test_the_tasks_of_a_worker_need_no_test_split(plugins) -> None:
    whole = tasks_of(plugins, blobs())
    tasks = open_tasks(plugins.registry, blobs(), None, whole.device).without_test(
        lambda: whole.data_digest
    )
    assert set(tasks.pools) == {"train", "validation"}
    assert tasks.data_digest == whole.data_digest
