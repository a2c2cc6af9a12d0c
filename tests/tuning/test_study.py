"""A study: which trials it plans, what scores them, and which one is the best."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from metabench.benchmarks.tasks import open_tasks
from metabench.config import Resources
from metabench.errors import CellFailed, NothingSelected, UsageError
from metabench.records.schema import Record
from metabench.records.store import ResultsFolder
from metabench.tuning.settings import StudySettings
from metabench.tuning.space import Space
from metabench.tuning.study import Outcome, Trial, Tuned, plan_study, results_of
from tests.helpers.cells import BLOBS, WAVES, blobs, make_record, run_planned, suite_file

SPACE = Space(factors={"lr": 10.0, "tasks": 2.0})

Study = Callable[..., StudySettings]


@pytest.fixture
def study(planted, tmp_path: Path) -> Study:
    path = suite_file(tmp_path / "tiny.toml", BLOBS)

    def make(**changes: object) -> StudySettings:
        settings = {"algorithm": ("learner",), "suite": str(path), "trials": 4, "episodes": 6}
        return StudySettings(**{**settings, **changes})  # type: ignore[arg-type]

    return make


def run(plugins, settings: StudySettings, folder: Path) -> list[Tuned]:
    trials = plan_study(plugins.registry, settings, SPACE, ResultsFolder(folder).load()[0])
    resources = Resources(executor="in-process")
    planned = [trial.planned for trial in trials]
    return results_of(trials, run_planned(planned, plugins, ResultsFolder(folder), resources))


def test_the_first_trial_is_the_default_recipe_and_the_others_differ(planted, study) -> None:
    trials = plan_study(planted.registry, study(), SPACE, [])
    assert [trial.number for trial in trials] == [0, 1, 2, 3]
    assert trials[0].changed == {}
    assert all(trial.changed for trial in trials[1:])
    assert len({trial.planned.key for trial in trials}) == 4


def test_every_algorithm_has_as_many_trials(planted, study) -> None:
    trials = plan_study(
        planted.registry, study(algorithm=("learner", "forgetful", "protonet")), SPACE, []
    )
    names = [trial.planned.cell.algorithm for trial in trials]
    assert {name: names.count(name) for name in names} == {
        "forgetful": 4,
        "learner": 4,
        "protonet": 4,
    }


def test_the_trials_of_an_algorithm_do_not_depend_on_the_others(planted, study) -> None:
    alone = plan_study(planted.registry, study(), SPACE, [])
    together = plan_study(planted.registry, study(algorithm=("*e*r*",)), SPACE, [])
    assert [t.planned.key for t in alone] == [
        t.planned.key for t in together if t.planned.cell.algorithm == "learner"
    ]


def test_a_trial_has_a_part_of_the_budget_and_is_scored_on_meta_validation(
    planted, study, tmp_path: Path
) -> None:
    (tuned,) = run(planted, study(fraction=0.5), tmp_path / "r")
    for outcome in tuned.outcomes:
        record = outcome.record
        assert record.training.examples <= BLOBS["budget"] / 2
        assert record.benchmark.scored_on == "validation"
        tasks = open_tasks(planted.registry, record.benchmark, None, torch.device("cpu"))
        assert record.episode_digest == tasks.held_out("validation").digest(6)
        assert record.episode_digest != tasks.held_out("test").digest(6)


def test_the_trials_of_a_study_never_stand_among_the_records_of_the_benchmark(study) -> None:
    assert blobs().for_tuning(1.0, 30).title != blobs().title


def test_stored_trials_are_not_run_again(planted, study, tmp_path: Path) -> None:
    first = run(planted, study(), tmp_path / "r")
    stored = ResultsFolder(tmp_path / "r").load()[0]
    again = plan_study(planted.registry, study(trials=6), SPACE, stored)
    assert [trial.planned.state for trial in again] == ["stored"] * 4 + ["new"] * 2
    assert [o.record for o in first[0].outcomes] == [t.planned.record for t in again[:4]]


def test_an_algorithm_that_does_not_apply_is_left_out(planted, tmp_path: Path) -> None:
    path = suite_file(tmp_path / "waves.toml", WAVES)
    settings = StudySettings(
        algorithm=("protonet", "maml"), suite=str(path), trials=2, episodes=2, fraction=0.02
    )
    (tuned,) = run(planted, settings, tmp_path / "r")
    assert tuned.best.record.algorithm.name == "maml"


def test_a_study_without_anything_to_vary_says_so(planted, study) -> None:
    with pytest.raises(NothingSelected, match="no selected algorithm has a hyper-parameter"):
        plan_study(planted.registry, study(algorithm=("nearest-mean",)), SPACE, [])


def test_a_fraction_over_the_whole_budget_is_refused(planted, study) -> None:
    with pytest.raises(UsageError, match=r"--fraction 1\.5"):
        plan_study(planted.registry, study(fraction=1.5), SPACE, [])


def outcomes(planted, study: Study, *records: Record) -> Tuned:
    trials = plan_study(planted.registry, study(trials=len(records)), SPACE, [])
    return Tuned(tuple(Outcome(t, r) for t, r in zip(trials, records, strict=True)))


def scored(direction: str, score: float) -> Record:
    record = make_record(scores=(score, score))
    record.metrics[record.metric].direction = direction  # type: ignore[assignment]
    return record


@pytest.mark.parametrize(("direction", "best"), [("higher", 1), ("lower", 2)])
def test_the_best_trial_follows_the_direction_of_the_metric(
    planted, study, direction: str, best: int
) -> None:
    records = [scored(direction, s) for s in (0.5, 0.7, 0.4, 0.7)]
    assert outcomes(planted, study, *records).best.trial.number == best


def test_of_equal_trials_the_default_recipe_is_the_best(planted, study) -> None:
    assert outcomes(planted, study, *[scored("higher", 0.5)] * 3).best.trial.number == 0


def test_a_failed_trial_has_no_score_and_is_never_the_best(planted, study) -> None:
    failed = make_record(scores=None)
    tuned = outcomes(planted, study, failed, scored("lower", 3.0), failed)
    assert [o.score is None for o in tuned.outcomes] == [True, False, True]
    assert tuned.best.trial.number == 1


def test_a_study_whose_trials_all_failed_says_why(planted, study) -> None:
    failed = make_record(scores=None)
    failed.reason = "the loss is nan"
    with pytest.raises(CellFailed, match=r"every trial of maml .* the loss is nan"):
        _ = outcomes(planted, study, failed, failed).best


def test_a_trial_shows_what_it_changes(planted, study) -> None:
    trial: Trial = plan_study(planted.registry, study(), SPACE, [])[1]
    values = trial.planned.hyperparameters
    assert trial.changed == {name: values[name] for name in trial.changed}
    assert set(trial.changed) <= SPACE.names
