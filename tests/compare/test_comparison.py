"""The verdicts on cells."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metabench.compare import (
    benchmark_entries,
    compare,
    sentence,
    to_document,
    to_markdown,
    to_table,
)
from metabench.compare.verdicts import ComparisonRow
from metabench.errors import UsageError
from metabench.records.schema import Record
from tests.helpers.cells import make_record, with_seeds
from tests.helpers.simulations import accuracies

MIRROR = {"worse": "better", "better": "worse", "new": "gone", "gone": "new"}


def record(algorithm: str = "maml", scores: Any = (0.5,) * 20, **changes: Any) -> Record:
    """A record whose accuracy has the unit ``share``."""
    if scores is None:
        changes["benchmark"] = {"test_episodes": 20} | changes.get("benchmark", {})
    made = make_record(algorithm, None if scores is None else tuple(map(float, scores)), **changes)
    for name, metric in made.metrics.items():
        metric.unit = {"accuracy": "share", "cost": "ms"}.get(name, "squared error")
    return made


def only(base: list[Record], new: list[Record], **options: Any) -> ComparisonRow:
    """Returns the only row of a comparison."""
    (row,) = compare(base, new, **options).rows
    return row


def trained(algorithm: str = "maml", scores: Any = (0.5,) * 20, **changes: Any) -> list[Record]:
    """Returns three seeds with the same scores: another training changes nothing."""
    return with_seeds(record(algorithm, scores, **changes))


# Verdicts.


def test_identical_records_are_equivalent() -> None:
    records = [record(name, seed=seed) for name in ("maml", "protonet") for seed in (0, 1)]
    records += [
        record("proto", None, reason="it broke"),
        record("nearest", None, status="skipped"),
    ]
    rows = compare(records, records).rows
    assert [row.verdict for row in rows] == ["equivalent"] * 4
    assert {row.reason for row in rows} == {
        "no difference",
        "failed (it broke) on both sides",
        "skipped on both sides",
    }


def test_a_significant_loss_of_the_minimum_effect_is_worse() -> None:
    base, new = accuracies(np.random.default_rng(0), 0.8, drop=0.02)
    row = only(trained(scores=base), trained(scores=new))
    assert row.verdict == "worse"
    assert row.difference == pytest.approx((new - base).mean())
    assert row.effect == row.difference
    assert abs(row.difference + 0.02) <= 2 * row.ci95
    assert row.p_episodes <= row.p_value < 0.001
    assert row.low < row.difference < row.high < 0
    assert row.confidence == 0.95


@pytest.mark.parametrize(("drop", "word"), [(0.02, "loss"), (-0.02, "gain")])
def test_one_seed_a_side_warns_and_gives_no_verdict(drop: float, word: str) -> None:
    base, new = accuracies(np.random.default_rng(0), 0.8, drop=drop)
    row = only([record(scores=base)], [record(scores=new)])
    assert (row.verdict, row.p_seeds, row.p_equivalent) == ("undecided", None, None)
    assert "one seed" in row.reason
    assert row.warnings == (f"a {word} that is significant over the episodes",)
    assert f"a {word} that is" in to_markdown(compare([record(scores=base)], [record(scores=new)]))


def test_one_seed_a_side_without_a_significant_difference_does_not_warn() -> None:
    base, new = accuracies(np.random.default_rng(0), 0.8)
    assert only([record(scores=base)], [record(scores=new)]).warnings == ()
    row = only([record(scores=base)], [record(scores=base)])
    assert (row.verdict, row.reason) == ("equivalent", "no difference")


def test_a_loss_that_is_shown_to_be_below_the_minimum_effect_is_equivalent() -> None:
    base, new = accuracies(np.random.default_rng(0), 0.8, drop=0.02)
    row = only(trained(scores=base), trained(scores=new), min_effect=0.1)
    assert (row.verdict, row.reason) == ("equivalent", "less than the minimum effect")
    assert row.p_value < 0.05
    assert row.p_equivalent < 0.05
    assert -0.1 < row.low < row.high < 0.1
    assert row.confidence == pytest.approx(0.9)


def test_a_difference_around_the_minimum_effect_is_undecided() -> None:
    base, new = accuracies(np.random.default_rng(0), 0.8, drop=0.02)
    row = only(
        trained(scores=base), trained(scores=new), min_effect=abs((new - base).mean()) + 1e-6
    )
    assert row.verdict == "undecided"
    assert row.reason == "significant, but not shown to be the minimum effect or less"


def test_a_large_loss_in_few_episodes_is_undecided() -> None:
    row = only(trained(scores=[0.9, 0.8, 0.7]), trained(scores=[0.5, 0.6, 0.7]))
    assert (row.verdict, row.reason) == ("undecided", "not significant")


@pytest.mark.parametrize(
    ("factor", "verdict"), [(0.9, "better"), (1.1, "worse"), (1.005, "equivalent")]
)
def test_a_lower_squared_error_is_better_and_its_effect_is_relative(
    factor: float, verdict: str
) -> None:
    errors = np.random.default_rng(0).gamma(2, 3, size=200)
    base = trained(scores=errors, metric="mse", direction="lower")
    row = only(base, trained(scores=errors * factor, metric="mse", direction="lower"))
    assert row.verdict == verdict
    assert row.effect == pytest.approx(
        errors.mean() * (1 - factor) / (errors.mean() * max(1, factor))
    )


def test_the_correction_is_over_all_cells_with_a_difference() -> None:
    rng = np.random.default_rng(5)
    ten = rng.integers(0, 4, size=(10, 8)) / 4
    base = [one for i, scores in enumerate(ten) for one in trained(f"a{i}", scores)]
    moved = [one for i, s in enumerate(ten) for one in trained(f"a{i}", s - 0.25 * (i == 0))]
    assert {row.verdict for row in compare(base, moved).rows} == {"worse", "equivalent"}
    noisy = [
        one
        for i, s in enumerate(ten)
        for one in trained(f"a{i}", s - 0.25 if i == 0 else np.roll(s, 1))
    ]
    found = compare(base, noisy).rows
    assert {row.verdict for row in found} == {"undecided"}
    assert min(row.confidence for row in found) == pytest.approx(1 - 0.05 / 10)


def test_the_largest_loss_is_first_and_then_what_is_gone() -> None:
    flat = np.full(30, 0.5)
    base = [one for name in "abcd" for one in trained(name, flat)]
    changed = {"a": flat + 0.1, "b": flat - 0.1, "c": flat - 0.3, "e": flat}
    new = [one for name, scores in changed.items() for one in trained(name, scores)]
    found = compare(base, new)
    assert [(row.algorithm, row.verdict) for row in found.rows] == [
        ("c", "worse"),
        ("b", "worse"),
        ("d", "gone"),
        ("a", "better"),
        ("e", "new"),
    ]
    assert "The new results lack d on blobs-3w1s@1." in sentence(found)


# Cells that are gone.


def file_of(made: Record, key: str = "") -> Path:
    path = Path("results/records") / made.file_name
    return path.with_name(path.name.replace(made.key[:10], key)) if key else path


@pytest.mark.parametrize("key", ["", "0123456789"])
def test_a_cell_whose_only_new_record_is_unreadable_is_gone_with_the_reason(key: str) -> None:
    base = [record(), record("protonet")]
    found = compare(base, base[1:], unreadable=[file_of(base[0], key)])
    assert [(row.algorithm, row.verdict) for row in found.rows] == [
        ("maml", "gone"),
        ("protonet", "equivalent"),
    ]
    assert "is unreadable" in found.gone[0].reason


def test_one_unreadable_seed_of_several_is_gone() -> None:
    base = [record(seed=seed) for seed in range(3)]
    found = compare(base, base[:2], unreadable=[file_of(base[2])])
    assert [(row.verdict, row.seeds) for row in found.rows] == [
        ("gone", (2,)),
        ("equivalent", (0, 1)),
    ]


def test_an_unreadable_file_of_a_cell_that_has_a_readable_record_is_not_gone() -> None:
    base = [record()]
    assert compare(base, base, unreadable=[file_of(base[0], "0123456789")]).gone == []
    assert compare(base, base, unreadable=[Path("results/records/stray.json")]).gone == []


def test_other_changes_are_noted() -> None:
    base = record(hyperparameters={"inner_lr": 0.5, "steps": 3})
    new = record(hyperparameters={"inner_lr": 0.05, "steps": 3}, version="2")
    assert only([base], [new]).notes == ("version was 1 and is 2; inner_lr was 0.5 and is 0.05",)


@pytest.mark.parametrize(
    "options", [{"min_effect": -0.1}, {"min_effect": math.nan}, {"alpha": 0.0}, {"alpha": 1.5}]
)
def test_levels_out_of_range_are_errors(options: dict[str, float]) -> None:
    with pytest.raises(UsageError, match=r"minimum effect is|alpha is"):
        compare([], [], **options)


# Cells that are not ok.


@pytest.mark.parametrize(
    "status", ["failed", "timeout", "out-of-memory", "broken-plugin", "skipped"]
)
def test_a_cell_that_is_no_longer_ok_is_worse(status: str) -> None:
    bad = record(scores=None, status=status, reason="planted\nand more")
    row = only([record()], [bad])
    assert (row.verdict, row.reason) == ("worse", f"was ok and is {status} (planted)")
    assert only([bad], [record()]).verdict == "better"
    assert "planted" in sentence(compare([record()], [bad]))


def test_a_seed_that_is_no_longer_ok_is_worse_whatever_the_other_seeds() -> None:
    base = [record(seed=seed) for seed in range(3)]
    rows = compare(base, [*base[:2], record(scores=None, seed=2)]).rows
    assert [(row.verdict, row.seeds) for row in rows] == [("worse", (2,)), ("equivalent", (0, 1))]


def test_an_interrupted_cell_gives_no_verdict() -> None:
    row = only([record()], [record(scores=None, status="interrupted")])
    assert (row.verdict, row.reason) == ("not-comparable", "was ok and is interrupted")
    again = record(scores=None, status="interrupted", finished="2027")
    assert only([record()], [record(), again]).verdict == "equivalent"


def test_two_different_failures_are_not_comparable() -> None:
    row = only([record(scores=None, status="skipped")], [record(scores=None)])
    assert (row.verdict, row.reason) == ("not-comparable", "was skipped and is failed")


# Conflicts.


def quick(**changes: Any) -> Record:
    return record(benchmark={"quick": True}, **changes)


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        (record(episode_digest="f" * 64), f"different test episodes: {'e' * 12} and {'f' * 12}"),
        (
            record(benchmark={"version": "2"}),
            "different benchmark definitions: version was 1 and is 2",
        ),
        (
            record(benchmark={"budget": 999}),
            "different benchmark definitions: budget was 480 and is 999",
        ),
        (
            record(scores=(0.5,) * 30),
            "different benchmark definitions: test_episodes was 20 and is 30",
        ),
        (quick(), "a full record and a --quick one"),
        (record(seed=4), "no common seed: 0 and 4"),
    ],
)
def test_conflicting_records_are_not_comparable_with_the_reason(new: Record, reason: str) -> None:
    row = only([record()], [new])
    assert row.verdict == "not-comparable"
    assert reason in row.reason
    assert only([new], [record()]).verdict == "not-comparable"
    assert "1 is not comparable" in sentence(compare([record()], [new]))


def test_two_versions_of_the_metric_are_not_comparable() -> None:
    other = record()
    other.metrics["accuracy"].version = "2"
    reason = "different accuracy metrics: version was 1 and is 2"
    assert only([record()], [other]).reason == reason


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e300])
def test_invalid_scores_are_not_comparable(bad: float) -> None:
    broken = record()
    broken.metrics["accuracy"].episodes[3] = bad
    for base, new in (
        ([record()], [broken]),
        ([broken], [record()]),
        ([], [broken]),
        ([broken], [broken]),
    ):
        row = only(base, new)
        assert row.verdict == "not-comparable"
        assert "invalid accuracy of an episode" in row.reason


def test_quick_records_are_compared_with_quick_ones_and_marked() -> None:
    found = compare([quick(), record()], [quick(), record()])
    assert [row.benchmark for row in found.rows] == ["blobs-3w1s@1", "blobs-3w1s@1+quick"]
    assert "Quick records" in to_markdown(found)
    assert "Quick records" not in to_markdown(compare([record()], [record()]))


def test_each_version_of_a_benchmark_is_compared_with_itself() -> None:
    two = [record(), record(benchmark={"version": "2"})]
    assert [row.verdict for row in compare(two[:1], two).rows] == ["new", "equivalent"]
    assert [row.verdict for row in compare(two, two[1:]).rows] == ["gone", "equivalent"]


def test_superseded_records_are_counted() -> None:
    old = record(scores=(0.9,) * 20, hyperparameters={"lr": 1.0}, finished="2025", seed=1)
    found = compare([record()], [old, record(), record(scores=(0.1,) * 20, finished="2024")])
    assert [row.verdict for row in found.rows] == ["equivalent"]
    assert found.left_out == ["new: 2 records superseded by later ones of the same algorithm"]


# Seeds.


def retrained(rng, *, sd: float, seeds: range, drop: float = 0.0) -> list[Record]:
    """Records of one algorithm, whose accuracy varies between seeds."""
    return [
        record(scores=accuracies(rng, 0.8 - drop + rng.normal(0, sd), shape=(200,))[0], seed=seed)
        for seed in seeds
    ]


def test_a_difference_within_the_variation_between_seeds_is_undecided() -> None:
    base = retrained(np.random.default_rng(1), sd=0.03, seeds=range(3))
    new = retrained(np.random.default_rng(4), sd=0.03, seeds=range(3))
    row = only(base, new)
    assert row.p_episodes < 0.05 < row.p_seeds == row.p_value
    assert (row.verdict, row.reason) == ("undecided", "within the variation between seeds")


def test_a_baseline_of_many_seeds_detects_a_loss_of_one_seed() -> None:
    rng = np.random.default_rng(2)
    base = retrained(rng, sd=0.01, seeds=range(10))
    row = only(base, retrained(rng, sd=0.01, seeds=range(1), drop=0.08))
    assert row.verdict == "worse"
    assert row.notes == ("seeds 1, 2, 3, 4, 5, 6, 7, 8, 9 on one side only",)
    assert "one seed" not in row.reason


# Properties.

CELLS = st.lists(
    st.tuples(
        st.sampled_from(["maml", "protonet"]),
        st.integers(0, 2),
        st.one_of(
            st.none(), st.lists(st.integers(0, 15).map(lambda n: n / 15), min_size=12, max_size=12)
        ),
        st.sampled_from(["1", "2"]),
    ),
    max_size=6,
    unique_by=lambda cell: (cell[0], cell[1], cell[3]),
).map(
    lambda cells: [
        record(a, s, seed=seed, benchmark={"version": v, "test_episodes": 12})
        for a, seed, s, v in cells
    ]
)


@given(CELLS)
def test_any_records_equal_themselves(records: list[Record]) -> None:
    assert {row.verdict for row in compare(records, records).rows} <= {"equivalent"}


@given(CELLS, CELLS)
def test_swapping_the_sides_mirrors_every_verdict(base: list[Record], new: list[Record]) -> None:
    forth, back = compare(base, new), compare(new, base)

    def facts(row: ComparisonRow) -> tuple[Any, ...]:
        title = "" if row.verdict == "not-comparable" else row.benchmark
        return (row.algorithm, title, row.seeds, row.verdict, row.p_value, row.ci95)

    mirrored = [replace(row, verdict=MIRROR.get(row.verdict, row.verdict)) for row in back.rows]
    assert sorted(map(repr, map(facts, mirrored))) == sorted(map(repr, map(facts, forth.rows)))
    differences = {row.title: row.difference for row in forth.rows if row.difference is not None}
    assert {r.title: -r.difference for r in back.rows if r.difference is not None} == pytest.approx(
        differences
    )


@given(CELLS, CELLS)
def test_p_values_are_between_0_and_1_and_the_correction_raises_them(base, new) -> None:
    for row in compare(base, new).rows:
        if row.p_episodes is not None:
            assert 0 <= row.p_episodes <= row.p_value <= 1
            assert row.low <= row.difference <= row.high


@given(CELLS, CELLS)
def test_every_cell_has_a_row_in_every_output(base: list[Record], new: list[Record]) -> None:
    found = compare(base, new)
    assert {row.algorithm for row in found.rows} == {r.algorithm.label for r in [*base, *new]}
    json.dumps([to_document(found), benchmark_entries(found)], allow_nan=False)
    assert to_markdown(found).startswith("## metabench")
    to_table(found)
