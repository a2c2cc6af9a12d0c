"""The curves read from the values of metrics, which may be any JSON."""

import math

from metabench.records.schema import CurvePoint, MetricResult, Record, Training
from metabench.report.charts.learning import learning_by_flops
from metabench.report.curves import (
    adaptation_curve,
    flips_curve,
    learning_curve,
    over_seeds,
    radius_curve,
    severity_curve,
    shots_curve,
    with_cost,
)
from metabench.report.data import gather
from metabench.report.figure import Point
from metabench.report.values import MOST_POINTS
from tests.helpers.cells import make_record
from tests.helpers.many_records import STEPS, full_record

RECORD = full_record("maml", 0.9, 10.0)
CURVES = (adaptation_curve, shots_curve, learning_curve, severity_curve, flips_curve, radius_curve)


def with_values(metric: str, values: object) -> Record:
    record = make_record()
    record.metrics[metric] = MetricResult.model_construct(
        version="1", direction="higher", unit="", mean=None, ci95=None, episodes=[], values=values
    )
    return record


def test_a_curve_has_the_numbers_of_the_record() -> None:
    adaptation = adaptation_curve(RECORD)
    assert [p.x for p in adaptation] == list(STEPS)
    assert adaptation[0].y == 0.2
    assert (adaptation[0].low, adaptation[0].high) == (0.2 - 0.02, 0.2 + 0.02)
    assert [(p.x, round(p.y, 3)) for p in severity_curve(RECORD)] == [
        (0, 0.9), (1, 0.85), (2, 0.8), (3, 0.75), (4, 0.7), (5, 0.65)
    ]  # fmt: skip
    assert [(p.x, round(p.y, 3)) for p in flips_curve(RECORD)] == [
        (0, 0.9),
        (0.2, 0.8),
        (0.4, 0.7),
        (0.6, 0.6),
    ]
    assert [(p.x, round(p.y, 3)) for p in radius_curve(RECORD)] == [
        (0, 0.9),
        (0.1, 0.63),
        (0.2, 0.36),
        (0.3, 0.09),
    ]
    assert [p.x for p in learning_curve(RECORD)] == [8000 * k for k in range(1, 7)]
    assert [p.x for p in shots_curve(RECORD)] == [1, 2, 5, 10]


def test_a_method_without_inner_steps_is_one_point() -> None:
    assert [(p.x, p.y) for p in adaptation_curve(full_record("protonet", 0.95, 1.0))] == [
        (0.0, 0.95)
    ]


def test_a_record_without_a_metric_has_no_curve() -> None:
    assert [curve(make_record()) for curve in CURVES] == [[]] * len(CURVES)


def test_without_pgd_the_square_attack_is_shown() -> None:
    attacks = {"square-linf-0.1": {"score": 0.5}, "fgsm-linf-0.1": {"score": 0.7}}
    curve = radius_curve(with_values("adversarial", {"clean": 0.9, "attacks": attacks}))
    assert [(p.x, p.y) for p in curve] == [(0.0, 0.9), (0.1, 0.5)]


NONSENSE = (
    None, 3, "text", [], {}, [None, "x", {}], {"n/a": "why"},
    math.nan, math.inf, -1e308, 10**400, True, [[]],
)  # fmt: skip


def test_values_of_any_json_give_finite_curves() -> None:
    for bad in NONSENSE:
        for record in (
            with_values("adaptation", bad),
            with_values("adaptation", {"curve": bad, "shots": bad}),
            with_values(
                "adaptation",
                {"curve": {"steps": bad, "score": bad, "ci95": bad}, "shots": {"shots": bad}},
            ),
            with_values(
                "adaptation",
                {"curve": {"steps": [bad, 1], "score": [0.5, bad]}, "shots": {"score": bad}},
            ),
            with_values("noise", {"clean": bad, "corruptions": bad, "label_noise": bad}),
            with_values(
                "noise",
                {"clean": bad, "corruptions": {"query": {"blur": bad}}, "label_noise": {"x": bad}},
            ),
            with_values(
                "noise", {"corruptions": {"query": {"blur": [{"severity": bad, "score": bad}]}}}
            ),
            with_values("adversarial", {"clean": bad, "attacks": bad}),
            with_values(
                "adversarial",
                {"clean": bad, "attacks": {"pgd-linf-nan": {"score": bad}, "pgd-linf-": bad}},
            ),
        ):
            for curve in CURVES:
                assert all(math.isfinite(p.x) and abs(p.y) <= 1e100 for p in curve(record))


def test_a_huge_curve_is_thinned_and_keeps_its_ends() -> None:
    many = 100_000
    curve = adaptation_curve(
        with_values("adaptation", {"curve": {"steps": list(range(many)), "score": [0.5] * many}})
    )
    assert len(curve) == MOST_POINTS
    assert (curve[0].x, curve[-1].x) == (0, many - 1)


def test_seeds_are_averaged_at_the_points_that_all_have() -> None:
    pooled = over_seeds([[Point(0, 1.0, 0.5, 1.5), Point(1, 2.0)], [Point(0, 2.0, 1.5, 2.5)]])
    assert pooled == (Point(0, 1.5, 1.0, 2.0),)
    assert over_seeds([[Point(0, 1.0)], [Point(0, 3.0)]]) == (Point(0, 2.0, 1.0, 3.0),)
    assert over_seeds([[], [Point(0, 3.0)]]) == (Point(0, 3.0),)
    assert over_seeds([]) == ()


def trained(score: float, seconds: float, *, seed: int = 0, flops: float | None = 4e9) -> Record:
    """Returns a record with a learning curve of two points, 10 and 20 examples."""
    curve = [
        CurvePoint(examples=10 * k, steps=k, seconds=seconds * k, loss=None, score=score * k)
        for k in (1, 2)
    ]
    return make_record("maml", seed=seed, training=Training(examples=20, flops=flops, curve=curve))


def test_seeds_with_different_seconds_are_averaged_at_equal_examples() -> None:
    records = [trained(0.3, 2.0), trained(0.5, 4.0)]
    first, second = with_cost(records, lambda record, point: point.seconds)
    assert (first.x, first.y, first.low, first.high) == (3.0, 0.4, 0.3, 0.5)
    assert (second.x, second.y) == (6.0, 0.8)


def test_there_is_no_curve_by_a_cost_that_one_seed_lacks() -> None:
    records = [trained(0.3, 2.0), trained(0.5, 4.0, flops=None)]
    assert with_cost(records, lambda record, point: record.training.flops) == ()
    assert with_cost(records[:1], lambda record, point: record.training.flops)


def test_operations_grow_with_the_examples_of_the_curve() -> None:
    (results,) = gather([trained(0.3, 2.0), trained(0.5, 4.0, seed=1)]).benchmarks
    chart = learning_by_flops(results)
    assert chart is not None
    assert [p.x for p in chart.series[0].points] == [2e9, 4e9]


def test_the_curve_of_flipped_labels_starts_from_its_own_clean_score() -> None:
    values = {"clean": 0.8, "label_noise": {"clean": 0.95, "0.4": {"score": 0.7}}}
    record = make_record("maml")
    record.metrics["noise"] = MetricResult(version="1", direction="lower", unit="", values=values)
    assert [(p.x, p.y) for p in flips_curve(record)] == [(0, 0.95), (0.4, 0.7)]
