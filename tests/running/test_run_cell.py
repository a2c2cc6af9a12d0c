"""A cell, run in this process: its scores, and what becomes of whatever goes wrong."""

import random
from typing import Any

import numpy as np
import pytest
import torch

from metabench.episodes import TaskStream
from metabench.errors import UsageError
from metabench.metrics.base import EpisodeMetric, Measurement, Metric
from metabench.metrics.trial import Trial
from metabench.records.schema import Record
from metabench.registry import Spec
from metabench.running.cell import Cell, identify
from metabench.running.run_cell import Conditions, run_cell
from tests.helpers.cells import blobs, cell, curve_of, run_here, scores_of, tasks_of, waves


class TestScores:
    def test_a_cell_run_twice_gives_the_same_bits(self, planted) -> None:
        first, second = (run_here(planted, cell("learner")) for _ in range(2))
        assert first.status == "ok", first.reason
        assert scores_of(first) == scores_of(second)
        assert curve_of(first) == curve_of(second)
        assert first.episode_digest == second.episode_digest
        assert first.key == second.key

    def test_nothing_that_happened_before_in_the_process_changes_a_bit(self, planted) -> None:
        first = run_here(planted, cell("learner"))
        run_here(planted, cell("drifter"))
        random.random(), np.random.rand(3), torch.rand(5)
        torch.manual_seed(123)
        assert scores_of(run_here(planted, cell("learner"))) == scores_of(first)

    def test_another_seed_trains_on_other_tasks_and_is_tested_on_the_same(self, planted) -> None:
        first, second = (run_here(planted, cell("learner", seed=seed)) for seed in (0, 1))
        assert scores_of(first) != scores_of(second)
        assert first.episode_digest == second.episode_digest
        assert first.key != second.key

    def test_there_is_one_score_for_each_test_episode(self, planted) -> None:
        record = run_here(planted, cell("learner", blobs(test_episodes=23)))
        assert len(record.metrics["accuracy"].episodes) == 23
        assert record.score == pytest.approx(np.mean(record.metrics["accuracy"].episodes))

    def test_the_curve_tells_what_was_drawn_and_which_state_was_tested(self, planted) -> None:
        training = run_here(planted, cell("learner")).training
        assert [p.examples for p in training.curve] == [120, 240, 360, 480]
        assert [p.steps for p in training.curve] == [5, 10, 15, 20]
        best = max(training.curve, key=lambda p: (p.score, p.examples))
        assert training.best_examples == best.examples
        assert all(p.loss is not None for p in training.curve)

    def test_an_algorithm_that_learns_nothing_has_no_curve(self, planted) -> None:
        training = run_here(planted, cell("nearest-mean")).training
        assert (training.curve, training.examples, training.steps) == ([], 0, 0)

    def test_cost_stands_beside_the_score(self, planted) -> None:
        record = run_here(planted, cell("learner", blobs(metrics=("accuracy", "cost"))))
        values = record.metrics["cost"].values
        assert values["parameters"] == 256 * 8 + 8
        assert values["adapt_ms"] > 0
        assert values["predict_ms"] > 0
        assert values["peak_process_mb"] > 10
        assert values["peak_device_mb"] is None

    def test_the_budget_of_a_cell_can_be_lowered_and_never_raised(self, planted) -> None:
        low, high = (run_here(planted, cell("learner", budget=budget)) for budget in (100, 10**9))
        assert low.training.examples == 96
        assert high.training.examples == 480
        assert high.algorithm.hyperparameters["budget"] == 480

    @pytest.mark.parametrize(
        ("chosen", "told"), [({}, 480), ({"budget": 100}, 100), ({"budget": 0}, 480)]
    )
    def test_a_recipe_is_told_the_budget(self, planted, monkeypatch, chosen, told: int) -> None:
        heard = list[int]()
        learner = planted.registry.get("algorithm", "learner").load()
        recipe = classmethod(lambda cls, problem: heard.append(problem.budget) or {})
        monkeypatch.setattr(learner, "recipe", recipe)
        run_here(planted, cell("learner", **chosen))
        assert set(heard) == {told}

    @pytest.mark.parametrize(("quick", "budget"), [(False, 240), (True, 7)])
    def test_a_quick_cell_shrinks_the_budget_of_a_recipe_too(
        self, planted, monkeypatch, quick: bool, budget: int
    ) -> None:
        learner = planted.registry.get("algorithm", "learner").load()
        monkeypatch.setattr(learner, "recipe", classmethod(lambda cls, problem: {"budget": 240}))
        record = run_here(planted, cell("learner", blobs(quick=quick)))
        assert record.algorithm.hyperparameters["budget"] == budget

    def test_the_record_knows_where_it_was_made(self, planted) -> None:
        record = run_here(planted, cell("learner", lr="0.020"))
        facts = record.environment
        assert (facts["torch"], facts["device"], facts["threads"]) == (torch.__version__, "cpu", 1)
        assert record.algorithm.distribution == "metabench-planted"
        assert record.algorithm.distribution_version == "3.1"
        assert record.algorithm.overrides == {"lr": 0.02}
        assert record.algorithm.label == "learner[lr=0.02]"
        assert record.started <= record.finished


def test_the_settings_of_the_process_are_left_as_they_were(planted) -> None:
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    expected = torch.rand(1), random.random(), np.random.rand()
    torch.manual_seed(5), random.seed(5), np.random.seed(5)
    before = (
        torch.get_num_threads(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    )
    torch.set_num_threads(2)
    try:
        run_here(planted, cell("learner"))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before[0])
    assert (
        torch.get_num_threads(),
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.benchmark,
    ) == before
    assert (torch.rand(1), random.random(), np.random.rand()) == expected


class TestFailures:
    @pytest.mark.parametrize(
        ("how", "status", "says"),
        [
            ("raise", "failed", "ValueError: planted"),
            ("memory", "out-of-memory", "MemoryError: planted"),
            ("skip", "skipped", "trouble was asked to stay away."),
            ("exit", "failed", "sys.exit(7)"),
            ("nan-loss", "failed", "the outer loss is nan at outer step 3."),
            ("shape", "failed", "predicted [20, 9, 4], but the episodes need [20, 9, 3]"),
            ("nan", "failed", "not finite in episode 0"),
        ],
    )
    def test_whatever_goes_wrong_is_a_row_with_a_reason(
        self, planted, how: str, status: str, says: str
    ) -> None:
        # Without validations in the way, which would find the wrong predictions first.
        what = cell("trouble", blobs(budget=240, validation_episodes=20), how=how)
        record = run_here(planted, what)
        assert record.status == status
        assert says in record.reason
        assert record.algorithm.hyperparameters["how"] == how
        assert Record.model_validate_json(record.model_dump_json()) == record

    def test_the_tail_of_the_traceback_is_kept(self, planted) -> None:
        record = run_here(planted, cell("trouble", how="raise"))
        assert record.traceback.startswith("Traceback (most recent call last)")
        assert record.traceback.endswith("ValueError: planted\n")
        assert "metabench_planted.py" in record.traceback
        assert len(record.traceback) <= 4000

    def test_a_method_for_classes_is_skipped_in_regression(self, planted) -> None:
        record = run_here(planted, cell("learner", waves()))
        assert (record.status, record.reason) == ("skipped", "learner classifies.")

    def test_a_cell_that_fails_late_keeps_its_learning_curve(self, planted, monkeypatch) -> None:
        cls = planted.registry.get("algorithm", "learner").load()
        log = TaskStream.log

        def fail(self: TaskStream, loss: torch.Tensor) -> None:
            log(self, loss if self.steps < 12 else loss * torch.nan)

        monkeypatch.setattr(TaskStream, "log", fail)
        record = run_here(planted, cell(cls.name))
        assert record.status == "failed"
        assert [p.examples for p in record.training.curve] == [120, 240]

    def test_an_interrupt_leaves_the_cell(self, planted, monkeypatch) -> None:
        def interrupt(*arguments: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(
            planted.registry.get("algorithm", "learner").load(), "meta_train", interrupt
        )
        with pytest.raises(KeyboardInterrupt):
            run_here(planted, cell("learner"))

    def test_a_cell_that_fails_before_its_key_is_known_has_the_key_it_was_planned_with(
        self, planted
    ) -> None:
        record = run_cell(
            cell("learner", blobs(dataset="gone")), planted.registry, Conditions(), key="a" * 64
        )
        assert record.status == "failed"
        assert record.key == "a" * 64
        assert "unknown dataset 'gone'" in record.reason

    def test_test_classes_that_were_seen_in_training_fail_the_cell(self, planted) -> None:
        record = run_here(planted, cell("learner", blobs(dataset_options={"leak": True})))
        assert record.status == "failed"
        assert "were seen in meta-training" in record.reason
        assert not record.metrics

    def test_a_method_that_never_trains_cannot_have_seen_them(self, planted) -> None:
        record = run_here(planted, cell("nearest-mean", blobs(dataset_options={"leak": True})))
        assert record.status == "ok"


class TestState:
    def test_what_adaptation_changes_is_put_back_after_every_episode_and_noted(
        self, planted
    ) -> None:
        record = run_here(planted, cell("drifter"))
        assert record.status == "ok"
        assert record.notes == ["adaptation changed seen, weight; it was put back"]

    def test_every_episode_meets_the_same_state(self, planted) -> None:
        trial = trial_of(planted, "drifter", 30)
        outputs = trial.predictions().outputs
        assert outputs.unique().tolist() == [7.0]  # one episode seen, three weights of two
        assert trial.leaked_state == {"seen", "weight"}
        state = trial.algorithm.state_dict()
        assert float(state["seen"]) == 0.0
        assert state["weight"].tolist() == [1.0, 1.0, 1.0]

    def test_a_method_that_leaves_its_state_alone_has_no_note(self, planted) -> None:
        assert run_here(planted, cell("learner")).notes == []

    def test_batch_norm_that_counts_in_evaluation_is_put_back(self, planted) -> None:
        trial = trial_of(planted, "protonet", 21, benchmark=blobs(backbone="conv4"))
        before = {k: v.clone() for k, v in trial.algorithm.state_dict().items()}
        trial.algorithm.train()  # as a method would that forgets where it is
        trial.predictions()
        assert any("running_mean" in name for name in trial.leaked_state)
        for name, tensor in trial.algorithm.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    def test_parameters_that_come_or_go_while_adapting_fail_the_cell(
        self, planted, monkeypatch
    ) -> None:
        cls = planted.registry.get("algorithm", "drifter").load()
        adapt = cls.adapt

        def grow(self: Any, support: Any) -> Any:
            self.extra = torch.nn.Parameter(torch.ones(1))
            return adapt(self, support)

        monkeypatch.setattr(cls, "adapt", grow)
        record = run_here(planted, cell("drifter"))
        assert record.status == "failed"
        assert "'extra'" in record.reason

    def test_random_numbers_of_an_episode_do_not_depend_on_those_before(self, planted) -> None:
        trial = trial_of(planted, "learner", 30)
        together = trial.predictions().outputs
        random.random(), np.random.rand(), torch.rand(1)
        late = trial.predict(trial.sampler.range(25, 30), start=25)
        assert torch.equal(together[25:], late)


def trial_of(planted, algorithm: str, episodes: int, benchmark=None) -> Trial:
    tasks = tasks_of(planted, benchmark or blobs())
    torch.manual_seed(0)
    model = planted.registry.get("algorithm", algorithm).load()(tasks.problem(planted.registry))
    model.eval()
    return Trial(model, tasks.held_out("test"), episodes)


class Fixed(EpisodeMetric):
    """Scores that a test chooses."""

    name, direction, unit = "fixed", "higher", "points"
    chosen: Any = 0.5

    def scores(self, predictions) -> list[float]:
        return [self.chosen] * len(predictions.outputs)


class Odd(Metric):
    """Values that no record can hold."""

    name, direction, unit = "odd", "higher", "points"

    def measure(self, trial: Trial) -> Measurement:
        return Measurement(values={"tensor": torch.ones(2)})


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_score_that_is_not_finite_fails_the_cell(planted, monkeypatch, score: float) -> None:
    planted.registry.add("metric", Spec("fixed", Fixed))
    monkeypatch.setattr(Fixed, "chosen", score)
    for algorithm in ("learner", "nearest-mean"):  # in meta-validation, at test
        record = run_here(planted, cell(algorithm, blobs(metrics=("fixed",))))
        assert record.status == "failed"
        assert "finite" in record.reason or f"is {score}" in record.reason
        Record.model_validate_json(record.model_dump_json())


def test_a_metric_with_values_that_json_cannot_hold_does_not_spoil_the_record(planted) -> None:
    planted.registry.add("metric", Spec("odd", Odd))
    record = run_here(planted, cell("nearest-mean", blobs(metrics=("accuracy", "odd"))))
    text = record.model_dump_json()
    assert Record.model_validate_json(text) == record
    assert "odd" in text
    assert "Tensor" in text


class TestIdentity:
    def key(self, planted, what: Cell) -> str:
        tasks = tasks_of(planted, what.benchmark, what.seed)
        return identify(
            what, planted.registry.get("algorithm", what.algorithm), tasks, planted.registry
        ).key

    def test_the_key_is_that_of_what_the_result_depends_on(self, planted) -> None:
        base = self.key(planted, cell("learner"))
        others = [
            cell("learner", seed=1),
            cell("learner", lr=0.5),
            cell("forgetful"),
            cell("learner", blobs(version="2")),
            cell("learner", blobs().quickened()),
        ]
        assert len({base, *(self.key(planted, other) for other in others)}) == len(others) + 1

    def test_a_value_written_otherwise_or_chosen_as_it_is_by_default_has_the_same_key(
        self, planted
    ) -> None:
        keys = {
            self.key(planted, cell("learner", **given))
            for given in ({}, {"lr": 0.01}, {"lr": "0.010"})
        }
        assert len(keys) == 1

    def test_the_key_changes_with_the_data(self, planted, monkeypatch) -> None:
        before = self.key(planted, cell("learner"))
        monkeypatch.setattr(planted.registry.get("dataset", "blobs").load(), "salt", 1)
        assert self.key(planted, cell("learner")) != before

    @pytest.mark.parametrize("budget", ["many", "-5", "1.5", -1])
    def test_a_budget_that_cannot_be_is_an_error(self, planted, budget: Any) -> None:
        with pytest.raises(UsageError, match="is not a number of examples"):
            self.key(planted, cell("learner", budget=budget))

    @pytest.mark.parametrize("value", ["nan", "inf", float("-inf")])
    def test_a_hyperparameter_that_is_not_finite_is_an_error(self, planted, value: Any) -> None:
        with pytest.raises(UsageError, match="finite"):
            self.key(planted, cell("learner", lr=value))
