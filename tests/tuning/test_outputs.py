"""The results of a study as CSV and as recipe files."""

import csv
import io
import json
from pathlib import Path

import pytest

from metabench.errors import UsageError
from metabench.recipes.read import read_recipes
from metabench.tuning.outputs import MARK, best_rows, to_csv, write_recipes
from metabench.tuning.settings import StudySettings
from metabench.tuning.space import Space
from metabench.tuning.study import Outcome, Tuned, plan_study
from tests.helpers.cells import BLOBS, make_record, suite_file

SPACE = Space(factors={"lr": 10.0, "tasks": 2.0})


def tuned(planted, tmp_path: Path, best: int = 1, *benchmarks: dict[str, object]) -> list[Tuned]:
    """Returns a study of three trials in which the trial ``best`` has the best score."""
    path = suite_file(tmp_path / "tiny.toml", *benchmarks)
    settings = StudySettings(algorithm=("learner",), suite=str(path), trials=3)
    trials = plan_study(planted.registry, settings, SPACE, [])
    records = [make_record("learner", (0.5 + 0.1 * (t.number == best),) * 2) for t in trials]
    pairs = [Outcome(t, r) for t, r in zip(trials, records, strict=True)]
    return [Tuned(tuple(pairs[i : i + 3])) for i in range(0, len(pairs), 3)]


def test_the_csv_has_every_trial_with_its_values(planted, tmp_path: Path) -> None:
    studies = tuned(planted, tmp_path)
    rows = list(csv.DictReader(io.StringIO(to_csv(studies))))
    assert [row["trial"] for row in rows] == ["0", "1", "2"]
    assert [float(row["score"]) for row in rows] == [0.5, 0.6, 0.5]
    assert json.loads(rows[1]["changed"]) == studies[0].outcomes[1].trial.changed


def test_the_summary_sets_the_best_trial_beside_the_default(planted, tmp_path: Path) -> None:
    (row,) = best_rows(tuned(planted, tmp_path))
    assert (row["default"], row["best"], row["trial"]) == (0.5, 0.6, 1)
    assert (row["trials"], row["failed"]) == (3, 0)


def test_a_written_recipe_sets_the_values_of_the_best_trial(planted, tmp_path: Path) -> None:
    studies = tuned(planted, tmp_path)
    (path,) = write_recipes(studies, tmp_path / "recipes", SPACE, "my study")
    (entry,) = read_recipes(path).document.recipe
    values = studies[0].best.trial.planned.hyperparameters
    assert entry.values == {"lr": values["lr"], "tasks": values["tasks"]}  # not noise, nor budget
    assert entry.source == "study: my study, best of 3 trials on meta-validation, trial 1"
    assert str(entry.when) == "classification"


def test_a_second_study_replaces_the_entries_of_the_first_and_keeps_the_rest(
    planted, tmp_path: Path
) -> None:
    folder = tmp_path / "recipes"
    folder.mkdir()
    head = '# A comment.\n\n[[recipe]]\nname = "default"\nsource = "x"\nvalues = { lr = 0.5 }'
    (folder / "learner.toml").write_text(head + "\n")
    write_recipes(tuned(planted, tmp_path, 1), folder, SPACE, "first")
    write_recipes(tuned(planted, tmp_path, 2), folder, SPACE, "second")
    text = (folder / "learner.toml").read_text()
    assert text.startswith(head)
    assert text.count(MARK) == 1
    assert "first" not in text
    assert [e.source[:9] for e in read_recipes(folder / "learner.toml").document.recipe] == [
        "x",
        "study: se",
    ]


def test_an_entry_has_the_shots_or_ways_that_distinguish_the_benchmarks_of_the_study(
    planted, tmp_path: Path
) -> None:
    studies = tuned(planted, tmp_path, 1, BLOBS, BLOBS | {"name": "more", "shots": 2})
    (path,) = write_recipes(studies, tmp_path / "recipes", SPACE, "s")
    entries = read_recipes(path).document.recipe
    assert [str(e.when) for e in entries] == [
        "classification shots=1",
        "classification shots=2",
    ]


def test_a_study_keeps_the_entries_of_other_conditions(planted, tmp_path: Path) -> None:
    folder = tmp_path / "recipes"
    write_recipes(tuned(planted, tmp_path), folder, SPACE, "first")
    path = folder / "learner.toml"
    path.write_text(path.read_text().replace('"classification"', '"regression"'))
    for study in ("second", "third"):
        write_recipes(tuned(planted, tmp_path), folder, SPACE, study)
    entries = read_recipes(path).document.recipe
    assert [(str(e.when), e.source.split()[1]) for e in entries] == [
        ("regression", "first,"),
        ("classification", "third,"),
    ]


def test_with_more_ways_than_in_the_study_training_has_the_ways_of_the_test(
    planted, tmp_path: Path
) -> None:
    studies = tuned(planted, tmp_path)
    hyperparameters = studies[0].best.trial.planned.hyperparameters
    hyperparameters["train_ways"] = 2  # type: ignore[index]  # what the trial ran with
    space = SPACE.model_copy(update={"factors": SPACE.factors | {"train_ways": 3.0}})
    (path,) = write_recipes(studies, tmp_path / "recipes", space, "s")
    study, more = read_recipes(path).document.recipe
    assert study.values["train_ways"] == 2
    assert (str(more.when), more.values) == ("classification ways>3", {"train_ways": 0})
    write_recipes(studies, tmp_path / "recipes", space, "s")
    assert len(read_recipes(path).document.recipe) == 2


def test_two_benchmarks_that_a_recipe_cannot_distinguish_are_refused_before_anything_is_written(
    planted, tmp_path: Path
) -> None:
    studies = tuned(planted, tmp_path, 1, BLOBS, BLOBS | {"name": "again", "queries": 4})
    with pytest.raises(UsageError, match="two benchmarks of the study"):
        write_recipes(studies, tmp_path / "recipes", SPACE, "s")
    assert not (tmp_path / "recipes").exists()
