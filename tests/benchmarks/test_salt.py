"""The salt of test episodes: other test episodes, the same training."""

from pathlib import Path

import pytest
import torch

from metabench.benchmarks.salt import salt_digest
from metabench.benchmarks.tasks import open_tasks
from metabench.config import Resources, Selection
from metabench.errors import UsageError
from metabench.plugins import Plugins
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.running.plan import Planned, plan
from tests.helpers.cells import blobs, curve_of, run_planned, scores_of, suite_file, tasks_of

SALT = "a maintainer's secret"
OTHER = "another secret of theirs"


def run(plugins: Plugins, folder: Path, salt: str = "", *, fresh: bool = False) -> Record:
    """Run the small learner in this process."""
    results = ResultsFolder(folder / "results")
    planned = planned_in(plugins, folder, salt, fresh=fresh)
    resources = Resources(executor="in-process", episodes_salt=salt)
    (record,) = run_planned(planned, plugins, results, resources)
    return record


def planned_in(
    plugins: Plugins, folder: Path, salt: str = "", *, fresh: bool = False
) -> list[Planned]:
    suite = str(suite_file(folder / "tiny.toml"))
    stored, _ = ResultsFolder(folder / "results").load()
    selection = Selection(algorithm=("learner",), suite=suite)
    return plan(plugins.registry, selection, stored, episodes_salt=salt, fresh=fresh)


class TestEpisodes:
    def test_a_salt_draws_other_test_episodes_of_the_same_classes(self, planted) -> None:
        public = tasks_of(planted, blobs())
        salted = open_tasks(
            planted.registry,
            blobs().salted(salt_digest(SALT)),
            None,
            torch.device("cpu"),
            salt=SALT,
        )
        first, second = (tasks.held_out("test").range(0, 10) for tasks in (public, salted))
        assert not torch.equal(first.query_x, second.query_x)
        assert public.data_digest == salted.data_digest
        for split in ("train", "validation"):
            pair = [tasks.sampler(tasks.benchmark.protocol, 0) for tasks in (public, salted)]
            if split == "validation":
                pair = [tasks.held_out("validation") for tasks in (public, salted)]
            a, b = (sampler.range(0, 10).query_x for sampler in pair)
            assert torch.equal(a, b)

    @pytest.mark.parametrize("salt", ["", OTHER])
    def test_without_the_salt_no_salted_episode_can_be_drawn(self, planted, salt: str) -> None:
        benchmark = blobs().salted(salt_digest(SALT))
        cpu = torch.device("cpu")
        tasks = open_tasks(planted.registry, benchmark, None, cpu, salt=salt)
        with pytest.raises(UsageError, match="drawn with a secret salt"):
            tasks.held_out("test")

    def test_a_salt_that_can_be_guessed_is_refused(self) -> None:
        with pytest.raises(UsageError, match="has 5 characters, and could be guessed"):
            salt_digest("short")

    def test_the_salt_is_shown_by_no_repr(self, planted) -> None:
        resources = Resources(episodes_salt=SALT)
        tasks = open_tasks(planted.registry, blobs(), None, torch.device("cpu"), salt=SALT)
        assert SALT not in repr(resources)
        assert SALT not in repr(tasks)


class TestRun:
    def test_a_kept_model_is_scored_on_salted_episodes_without_training_again(
        self, planted, tmp_path: Path
    ) -> None:
        public = run(planted, tmp_path)
        salted = run(planted, tmp_path, SALT)
        assert (public.status, salted.status) == ("ok", "ok"), salted.reason
        assert salted.training.seconds == public.training.seconds  # of the one training
        assert curve_of(salted) == curve_of(public)
        assert salted.key != public.key
        assert salted.episode_digest != public.episode_digest
        assert scores_of(salted) != scores_of(public)

    def test_a_salted_cell_trains_as_the_public_one_does(self, planted, tmp_path: Path) -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        public, salted = run(planted, tmp_path / "a"), run(planted, tmp_path / "b", SALT)
        assert curve_of(salted) == curve_of(public)

    def test_the_record_has_the_digest_and_not_the_secret(self, planted, tmp_path: Path) -> None:
        record = run(planted, tmp_path, SALT)
        assert record.benchmark.episodes_salt == salt_digest(SALT)
        assert record.benchmark.title == f"blobs-3w1s@1+salt-{salt_digest(SALT)[:8]}"
        for path in (tmp_path / "results").rglob("*"):
            assert not path.is_file() or SALT.encode() not in path.read_bytes(), path

    def test_records_with_and_without_a_salt_do_not_supersede_each_other(
        self, planted, tmp_path: Path
    ) -> None:
        run(planted, tmp_path)
        run(planted, tmp_path, SALT)
        for salt, state in (("", "stored"), (SALT, "stored"), (OTHER, "new")):
            (planned,) = planned_in(planted, tmp_path, salt)
            assert (planned.state, salt) == (state, salt)

    def test_the_key_of_an_unsalted_cell_is_what_it_was(self, planted, tmp_path: Path) -> None:
        (planned,) = planned_in(planted, tmp_path)
        # Computed before there was a salt.
        assert planned.key == KEY
        assert planned.training_key == KEY
        (salted,) = planned_in(planted, tmp_path, SALT)
        assert salted.training_key == KEY


KEY = "05078802a65687cf4dba72138ad7b55824ad417dd3c6cb20ab86889e788eb4a9"
