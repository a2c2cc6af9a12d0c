"""Running a cell in this process: its scores, and the record of a failure."""

import random
from typing import Any

import numpy as np
import pytest
import torch

from metabench.episodes import TaskStream
from metabench.metrics.trial import Trial
from metabench.plugins import installed_plugins
from metabench.records.schema import Record
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

    def test_earlier_events_in_the_process_do_not_change_a_bit(self, planted) -> None:
        first = run_here(planted, cell("learner"))
        run_here(planted, cell("drifter"))
        random.random(), np.random.rand(3), torch.rand(5)
        torch.manual_seed(123)
        assert scores_of(run_here(planted, cell("learner"))) == scores_of(first)

    def test_another_seed_trains_on_other_tasks_and_tests_on_the_same(self, planted) -> None:
        first, second = (run_here(planted, cell("learner", seed=seed)) for seed in (0, 1))
        assert scores_of(first) != scores_of(second)
        assert first.episode_digest == second.episode_digest
        assert first.key != second.key

    def test_there_is_one_score_for_each_test_episode(self, planted) -> None:
        record = run_here(planted, cell("learner", blobs(test_episodes=23)))
        assert len(record.metrics["accuracy"].episodes) == 23
        assert record.score == pytest.approx(np.mean(record.metrics["accuracy"].episodes))

    def test_the_curve_has_the_examples_and_the_state_that_was_tested(self, planted) -> None:
        training = run_here(planted, cell("learner")).training
        assert [p.examples for p in training.curve] == [120, 240, 360, 480]
        assert [p.steps for p in training.curve] == [5, 10, 15, 20]
        best = max(training.curve, key=lambda p: (p.score, p.examples))
        assert training.best_examples == best.examples
        assert all(p.loss is not None for p in training.curve)

    def test_the_measured_track_is_in_the_record(self, planted) -> None:
        record = run_here(planted, cell("learner"))
        assert record.track == "inductive"
        assert record.track_evidence is not None
        assert record.track_evidence.queries == 30 * 2  # of nine queries of each test episode
        assert record.track_evidence.changed == 0.0
        assert record.notes == []

    def test_a_track_that_is_not_the_declared_one_is_noted(self, planted, monkeypatch) -> None:
        learner = planted.registry.get("algorithm", "learner").load()
        monkeypatch.setattr(learner, "transductive", True)
        record = run_here(planted, cell("learner"))
        assert record.track == "inductive"
        (note,) = record.notes
        assert note == "it declares transductive = True, and is measured as inductive"

    def test_batch_norm_by_the_query_batch_is_found_and_scored_query_by_query(self) -> None:
        glyphs = blobs(
            dataset="glyphs", backbone="conv4-strided", ways=5, queries=5, test_episodes=10
        )
        found = {}
        for norm in ("support", "batch", "running"):
            record = run_here(installed_plugins(), cell("maml", glyphs, norm=norm, tasks=2))
            assert record.status == "ok", record.reason
            found[norm] = record
        assert {norm: record.track for norm, record in found.items()} == {
            "support": "inductive",
            "batch": "transductive",
            "running": "inductive",
        }
        evidence = found["batch"].track_evidence
        assert evidence is not None
        assert evidence.inductive_score is not None
        assert evidence.unbalanced_score is not None
        assert evidence.inductive_score != found["batch"].score
        assert all(record.notes == [] for record in found.values())

    def test_an_algorithm_that_learns_nothing_has_no_curve(self, planted) -> None:
        training = run_here(planted, cell("nearest-mean")).training
        assert (training.curve, training.examples, training.steps) == ([], 0, 0)

    def test_an_algorithm_that_could_draw_nothing_says_so(self, planted) -> None:
        for algorithm in ("learner", "protonet", "maml"):
            record = run_here(planted, cell(algorithm, blobs(budget=1)))
            assert record.status == "ok", record.reason
            assert (record.training.examples, record.training.steps) == (0, 0)
            assert record.notes == [
                "meta-training drew nothing: an outer step exceeds the budget, 1 example"
            ]

    def test_an_algorithm_that_trains_or_has_nothing_to_train_has_no_such_note(
        self, planted
    ) -> None:
        for algorithm in ("learner", "nearest-mean"):
            assert run_here(planted, cell(algorithm)).notes == []

    def test_the_cost_is_measured_besides_the_score(self, planted) -> None:
        record = run_here(planted, cell("learner", blobs(metrics=("accuracy", "cost"))))
        values = record.metrics["cost"].values
        assert values["parameters"] == 256 * 8 + 8
        assert values["adapt_ms"] > 0
        assert values["predict_ms"] > 0
        assert values["peak_process_mb"] > 10
        assert values["peak_device_mb"] is None

    def test_the_budget_of_a_cell_can_be_lowered_and_not_raised(self, planted) -> None:
        low, high = (run_here(planted, cell("learner", budget=budget)) for budget in (100, 10**9))
        assert low.training.examples == 96
        assert high.training.examples == 480
        assert high.algorithm.hyperparameters["budget"] == 480

    @pytest.mark.parametrize(
        ("chosen", "told"), [({}, 480), ({"budget": 100}, 100), ({"budget": 0}, 480)]
    )
    def test_a_recipe_knows_the_budget(self, planted, monkeypatch, chosen, told: int) -> None:
        heard = list[int]()
        learner = planted.registry.get("algorithm", "learner").load()
        recipe = classmethod(lambda cls, problem: heard.append(problem.budget) or {})
        monkeypatch.setattr(learner, "recipe", recipe)
        run_here(planted, cell("learner", **chosen))
        assert set(heard) == {told}

    def test_a_recipe_in_code_that_sets_the_budget_is_a_broken_plugin(
        self, planted, monkeypatch
    ) -> None:
        learner = planted.registry.get("algorithm", "learner").load()
        monkeypatch.setattr(learner, "recipe", classmethod(lambda cls, problem: {"budget": 240}))
        record = run_here(planted, cell("learner"))
        assert record.status == "broken-plugin"
        assert (
            "the recipe method of 'learner' sets 'budget', which is the benchmark's"
            in record.reason
        )

    def test_a_quick_cell_has_the_budget_of_the_quick_benchmark(self, planted) -> None:
        quick = blobs().quickened()
        record = run_here(planted, cell("learner", quick))
        assert record.algorithm.hyperparameters["budget"] == quick.budget < blobs().budget

    def test_the_record_states_its_environment(self, planted) -> None:
        record = run_here(planted, cell("learner", lr="0.020"))
        facts = record.environment
        assert (facts["torch"], facts["device"], facts["threads"]) == (torch.__version__, "cpu", 1)
        assert record.algorithm.distribution == "metabench-planted"
        assert record.algorithm.distribution_version == "3.1"
        assert record.algorithm.overrides == {"lr": 0.02}
        assert record.algorithm.label == "learner[lr=0.02]"
        assert record.started <= record.finished


def test_the_settings_of_the_process_are_restored(planted) -> None:
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
    def test_every_error_is_a_record_with_a_reason(
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

    def test_a_classifier_is_skipped_in_regression(self, planted) -> None:
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

    def test_an_interrupt_is_raised(self, planted, monkeypatch) -> None:
        def interrupt(*arguments: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(
            planted.registry.get("algorithm", "learner").load(), "meta_train", interrupt
        )
        with pytest.raises(KeyboardInterrupt):
            run_here(planted, cell("learner"))

    def test_a_cell_that_fails_before_its_key_is_computed_has_its_planned_key(
        self, planted
    ) -> None:
        record = run_cell(
            cell("learner", blobs(dataset="gone")), planted.registry, Conditions(), key="a" * 64
        )
        assert record.status == "failed"
        assert record.key == "a" * 64
        assert "unknown dataset 'gone'" in record.reason

    def test_test_classes_that_were_drawn_in_training_fail_the_cell(self, planted) -> None:
        record = run_here(planted, cell("learner", blobs(dataset_options={"leak": True})))
        assert record.status == "failed"
        assert "were seen in meta-training" in record.reason
        assert not record.metrics

    def test_an_algorithm_that_never_trains_has_drawn_no_test_classes(self, planted) -> None:
        record = run_here(planted, cell("nearest-mean", blobs(dataset_options={"leak": True})))
        assert record.status == "ok"


class TestState:
    def test_what_adaptation_changes_is_restored_after_every_episode_and_noted(
        self, planted
    ) -> None:
        record = run_here(planted, cell("drifter"))
        assert record.status == "ok"
        assert record.notes == ["adaptation changed seen, weight; it was put back"]

    def test_every_episode_starts_from_the_same_state(self, planted) -> None:
        trial = trial_of(planted, "drifter", 30)
        outputs = trial.predictions().outputs
        assert outputs.unique().tolist() == [7.0]  # one episode seen, three weights of two
        assert trial.leaked_state == {"seen", "weight"}
        state = trial.algorithm.state_dict()
        assert float(state["seen"]) == 0.0
        assert state["weight"].tolist() == [1.0, 1.0, 1.0]

    def test_an_algorithm_that_keeps_its_state_has_no_note(self, planted) -> None:
        assert run_here(planted, cell("learner")).notes == []

    def test_statistics_of_batch_norm_that_change_in_evaluation_are_restored(self, planted) -> None:
        trial = trial_of(planted, "protonet", 21, benchmark=blobs(backbone="conv4"))
        before = {k: v.clone() for k, v in trial.algorithm.state_dict().items()}
        trial.algorithm.train()  # as a method would that forgets where it is
        trial.predictions()
        assert any("running_mean" in name for name in trial.leaked_state)
        for name, tensor in trial.algorithm.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    def test_parameters_that_adaptation_adds_or_removes_fail_the_cell(
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

    def test_random_numbers_of_an_episode_do_not_depend_on_earlier_episodes(self, planted) -> None:
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


class TestReport:
    @pytest.mark.parametrize("error", [BrokenPipeError(), SystemExit(1), KeyboardInterrupt()])
    @pytest.mark.parametrize("phase", ["load", "test", "measure"])
    def test_its_errors_and_exits_are_not_those_of_the_cell(
        self, planted, error: BaseException, phase: str
    ) -> None:
        def report(event: dict[str, Any]) -> None:
            if event["phase"] == phase:
                raise error

        what = cell("nearest-mean", blobs(metrics=("accuracy", "noise")))
        with pytest.raises(type(error)) as raised:
            run_cell(what, planted.registry, report=report)
        assert raised.value is error
