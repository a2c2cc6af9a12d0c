"""Each edit of a committed record by hand that contradicts its other fields is reported."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from metabench.leaderboard.record_checks import CHECKS, MOST_CHANGED, record_problems
from metabench.leaderboard.verify import problems_of
from metabench.metrics.transduction import TOLERANCE
from metabench.records.schema import Record, key_of
from metabench.records.store import ResultsFolder
from tests.helpers.cells import make_record

Edit = Callable[[dict[str, Any]], object]


def valid() -> dict[str, Any]:
    """Returns a record without contradictions, in which every check finds something to compare."""
    curve = [
        {"examples": n, "steps": n // 24, "seconds": 1.0, "loss": 0.5, "score": score}
        for n, score in ((120, 0.5), (240, 0.75), (480, 0.25))
    ]
    record = make_record(
        hyperparameters={"lr": 0.5, "budget": 480},
        benchmark={"metrics": ("accuracy", "noise"), "queries": 4, "ways": 2},
        training={"examples": 480, "steps": 20, "best_examples": 240, "curve": curve},
        started="2026-01-01T00:00:00+00:00",
        finished="2026-01-01T00:01:00+00:00",
        track="inductive",
        track_evidence={"queries": 600, "changed": 0.001},
    ).model_dump(mode="json")
    record["algorithm"]["overrides"] = {"lr": 0.5}
    record["metrics"]["accuracy"]["values"] = {
        "classes": [[0, 1], [0, 1]],
        "class_hits": [[2, 0], [4, 2]],
        "by_way": [0.75, 0.25],
        "worst_decile": 0.25,
        "macro_f1": 0.5,
    }
    drop = {"score": 0.25, "drop": 0.5, "drop_ci95": None}
    values = {
        "episodes": 2,
        "clean": 0.75,
        "label_noise": {"shots": 5, "clean": 0.5, "0.4": {"score": 0.25, "drop": 0.25}},
        "corruptions": {"query": {"blur": [dict(drop), dict(drop)], "mean_drop": 0.5}},
        "attacks": {"square": {"score": 0.5, "drop": 0.0, "episodes": 1}},
        "other": {"n/a": "too few"},
    }
    record["metrics"]["noise"] = record["metrics"]["accuracy"] | {
        "direction": "lower",
        "values": values,
        "episodes": [],
        "mean": None,
        "ci95": None,
    }
    record["metrics"]["adaptation"] = record["metrics"]["accuracy"] | {"values": {"area": 0.5}}
    return record


def problems(record: dict[str, Any]) -> list[str]:
    """Returns the problems of a record whose key is that of what it says it ran."""
    made = Record.model_validate(record)
    key = key_of(made.algorithm, made.benchmark, made.seed, made.data_digest)
    return record_problems(made.model_copy(update={"key": key}))


def test_a_valid_record_has_no_problem() -> None:
    assert problems(valid()) == []


def test_a_track_with_a_reason_may_be_the_declared_one() -> None:
    record = valid()
    record["track_evidence"] |= {"changed": 0.5, "reason": "it predicts them differently"}
    assert problems(record) == []


def test_verification_and_the_harness_tell_the_tracks_apart_at_the_same_share() -> None:
    assert MOST_CHANGED == TOLERANCE


def values_of(record: dict[str, Any], metric: str) -> dict[str, Any]:
    values: dict[str, Any] = record["metrics"][metric]["values"]
    return values


EDITS: dict[str, tuple[Edit, str]] = {
    "quick": (
        lambda r: r["benchmark"].update(quick=True),
        "it is a record of a --quick run",
    ),
    "track": (
        lambda r: r.update(track="transductive"),
        "its track is stated as transductive, but inductive follows: 0.1 % of its predictions",
    ),
    "changed predictions": (
        lambda r: r["track_evidence"].update(changed=0.5),
        "its track is stated as inductive, but transductive follows: 50 % of its predictions",
    ),
    "no evidence": (
        lambda r: r.update(track_evidence=None),
        "its track is stated as inductive, without what it was measured from",
    ),
    "override": (
        lambda r: r["algorithm"]["overrides"].update(lr=0.1),
        "its override lr=0.1 contradicts its lr=0.5",
    ),
    "unknown override": (
        lambda r: r["algorithm"]["overrides"].update(rate=0.1),
        "its override rate=0.1 contradicts its rate=None",
    ),
    "status": (
        lambda r: r.update(status="failed", reason="it was too good"),
        "its status is failed, but it holds every metric of its benchmark",
    ),
    "reason": (
        lambda r: r.update(reason="killed"),
        "its status is ok, but it has a reason for a failure: killed",
    ),
    "times": (
        lambda r: r.update(finished="2025-12-31T23:59:59+00:00"),
        "it finished at 2025-12-31T23:59:59+00:00, before it started at 2026-01-01T00:00:00+00:00",
    ),
    "no time": (lambda r: r.update(finished="soon"), "are not ISO 8601"),
    "local time": (lambda r: r.update(finished="2026-01-02T00:00:00"), "are not ISO 8601"),
    "budget": (
        lambda r: r["training"].update(examples=481),
        "its training drew 481 examples, more than its budget of 480",
    ),
    "curve beyond the budget": (
        lambda r: r["training"]["curve"][2].update(examples=500),
        "its training drew 500 examples, more than its budget of 480",
    ),
    "curve beyond the training": (
        lambda r: r["training"].update(examples=400),
        "its learning curve goes beyond the 400 examples of its training",
    ),
    "descending curve": (
        lambda r: r["training"]["curve"][0].update(examples=300),
        "its learning curve does not ascend in examples",
    ),
    "best_examples": (
        lambda r: r["training"].update(best_examples=130),
        "its best_examples 130 is not on its learning curve",
    ),
    "another point of the curve": (
        lambda r: r["training"].update(best_examples=480),
        "its best_examples is 480, but its best score at 240",
    ),
    "best_examples without a curve": (
        lambda r: r["training"].update(curve=[]),
        "its best_examples 240 is not on its learning curve",
    ),
    "mean": (
        lambda r: r["metrics"]["accuracy"].update(mean=0.9),
        "its accuracy is stated as 0.9",
    ),
    "classes": (
        lambda r: values_of(r, "accuracy").update(class_hits=[[0, 0], [4, 2]]),
        "its accuracy of the episodes does not follow from their classes",
    ),
    "worst_decile": (
        lambda r: values_of(r, "accuracy").update(worst_decile=0.5),
        "its accuracy.worst_decile is stated as 0.5, but 0.25 follows",
    ),
    "worst_decile of no number": (
        lambda r: values_of(r, "accuracy").update(worst_decile=[1]),
        "its accuracy.worst_decile is stated as [1], but 0.25 follows",
    ),
    "by_way": (
        lambda r: values_of(r, "accuracy").update(by_way=[0.75]),
        "its accuracy.by_way[1] is stated as None, but 0.25 follows",
    ),
    "area": (
        lambda r: values_of(r, "adaptation").update(area=0.9),
        "its adaptation.area is stated as 0.9, but 0.5 follows",
    ),
    "drop": (
        lambda r: values_of(r, "noise")["corruptions"]["query"]["blur"][1].update(drop=0.0),
        "its noise.corruptions.query.blur.drop is stated as 0.0, but 0.5 follows",
    ),
    "drop of episodes of its own": (
        lambda r: values_of(r, "noise")["label_noise"]["0.4"].update(score=0.5),
        "its noise.label_noise.0.4.drop is stated as 0.25, but 0 follows",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_by_hand_is_reported(name: str) -> None:
    edit, says = EDITS[name]
    record = valid()
    edit(record)
    assert any(says in problem for problem in problems(record)), problems(record)


def test_a_key_of_something_else_is_reported() -> None:
    record = Record.model_validate(valid())
    assert any("its key begins with" in problem for problem in record_problems(record))


def test_every_check_reports_a_planted_fault() -> None:
    found = set()
    for edit, _ in EDITS.values():
        record = valid()
        edit(record)
        made = Record.model_validate(record)
        found |= {check for check in CHECKS if list(check(made))}
    assert found == set(CHECKS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = Record.model_validate(valid())
    key = key_of(made.algorithm, made.benchmark, made.seed, made.data_digest)
    return ResultsFolder(tmp_path).save(made.model_copy(update={"key": key}))


def problems_in(results: Path) -> list[str]:
    return problems_of(*ResultsFolder(results).load(), results)


def test_a_renamed_record_is_reported(folder: Path, tmp_path: Path) -> None:
    assert not any("renamed" in problem for problem in problems_in(tmp_path))
    folder.rename(folder.with_name("maml-s9-0123456789.json"))
    says = "blobs-3w1s@1/maml-s9-0123456789.json: it was renamed, or is a copy of a record"
    assert says in problems_in(tmp_path)


@pytest.mark.parametrize("name", ["copy.json", "../copy.json", "../maml@2/x.json"])
def test_a_copy_of_a_record_is_reported(folder: Path, tmp_path: Path, name: str) -> None:
    copy = folder.parent / name
    copy.parent.mkdir(exist_ok=True)
    copy.write_bytes(folder.read_bytes())
    found = [problem for problem in problems_in(tmp_path) if "is a copy" in problem]
    assert len(found) == 1


def test_a_later_failure_beside_a_record_is_no_copy(folder: Path, tmp_path: Path) -> None:
    record = json.loads(folder.read_text()) | {"status": "failed", "reason": "x", "metrics": {}}
    later = ResultsFolder(tmp_path).save(Record.model_validate(record))
    assert later.name.endswith(".failed.json")
    assert not any("renamed" in problem for problem in problems_in(tmp_path))
    folder.rename(folder.with_suffix(".failed.json"))
    assert any("renamed" in problem for problem in problems_in(tmp_path))
