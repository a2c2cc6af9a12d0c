"""Options of metrics are read from their constructors and checked."""

import dataclasses
from typing import Any

import pytest

from metabench.errors import ConfigError
from metabench.metrics.base import Measurement, Metric
from metabench.metrics.options import check_options, make_metric
from metabench.metrics.trial import Trial
from metabench.plugins import Plugins
from metabench.registry import Spec


def spec_of(name: str) -> Spec:
    return Plugins(only=()).registry.get("metric", name)


def test_values_are_converted_to_the_declared_types() -> None:
    metric: Any = make_metric(
        spec_of("adversarial"), {"radii": [0.1, 1], "l2_radii": [], "episodes": 5}
    )
    assert (metric.radii, metric.l2_radii, metric.episodes) == ((0.1, 1.0), (), 5)
    assert metric == make_metric(
        spec_of("adversarial"), {"radii": (0.1, 1.0), "l2_radii": (), "episodes": 5}
    )


def test_no_options_give_the_defaults() -> None:
    assert make_metric(spec_of("noise"), {}) == spec_of("noise").load()()


@pytest.mark.parametrize(
    ("metric", "options", "says", "hint"),
    [
        ("noise", {"severites": [3]}, "no option 'severites'. Did you mean 'severities'?", "flips"),
        ("cost", {"episodes": 3}, "metric 'cost' has no option 'episodes'", "no options"),
        ("noise", {"episodes": "many"}, "option noise.episodes: 'many'", "Its default is 100"),
        ("noise", {"severities": 3}, "option noise.severities: 3", "(1, 2, 3, 4, 5)"),
        ("shift", {"wheres": ["here"]}, "option shift.wheres: ['here']", "'query'"),
        ("adversarial", {"radii": [float("nan")]}, "option adversarial.radii: [nan]", "None"),
        ("adversarial", {"steps": 1.5}, "option adversarial.steps: 1.5", "20"),
        ("noise", {"episodes": True}, "noise.episodes: True (it must be an integer)", "100"),
        ("noise", {"episodes": "5"}, "noise.episodes: '5' (it must be an integer)", "100"),
        ("noise", {"flips": 0.5}, "noise.flips: 0.5 (it must be an array)", "0.2"),
        ("shift", {"groups": 1}, "shift.groups: 1 (it must be true or false)", "True"),
    ],
)
def test_an_invalid_option_is_reported_with_the_valid_ones(
    metric: str, options: Any, says: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(spec_of(metric), options)
    assert says in caught.value.message
    assert hint in caught.value.hint


OUT_OF_BOUNDS: dict[str, dict[str, list[Any]]] = {
    "adaptation": {
        "episodes": [0, -1],
        "steps": [[], [0], [1, 2], [0, 2, 1], [0, 1, 1], [-1, 0]],
        "shots": [[], [0], [1, -1]],
    },
    "adversarial": {
        "episodes": [0],
        "radii": [[], [0], [-0.1], [0.1, 0.0]],
        "l2_radii": [[0], [-1.0]],
        "steps": [0],
        "restarts": [0],
        "wheres": [["queries"]],
        "black_box_episodes": [-1],
        "check_episodes": [0],
        "black_box_steps": [0],
        "poisoned": [-0.1, 1.1],
        "batch": [0],
    },
    "noise": {
        "episodes": [0],
        "flips": [[-0.1], [1.1]],
        "label_shots": [-1, 4],
        "severities": [[0], [6], [9]],
        "support_severities": [[0], [6]],
        "levels": [[0], [-1.0]],
    },
    "shift": {
        "episodes": [0],
        "scales": [[0], [-1.0]],
        "wheres": [[], ["here"]],
        "angles": [[float("inf")]],
        "groups": ["yes"],
        "elsewhere": [[3]],
    },
    "transduction": {"episodes": [0]},
}
BOUNDLESS = {("adaptation", "threshold")}
"""Options of which every number is valid."""


@pytest.mark.parametrize(
    ("metric", "option", "value"),
    [(m, o, v) for m, options in OUT_OF_BOUNDS.items() for o, vs in options.items() for v in vs],
    ids=str,
)
def test_a_value_out_of_bounds_is_an_error(metric: str, option: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=rf"metric option {metric}\.{option}: .* \(it must "):
        check_options(spec_of(metric), {option: value})


def test_every_option_of_every_metric_has_bounds_and_valid_defaults() -> None:
    for spec in Plugins(only=()).registry.specs("metric"):
        cls = spec.load()
        fields = dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ()
        assert {f.name for f in fields} == {
            *OUT_OF_BOUNDS.get(spec.name, {}),
            *(option for metric, option in BOUNDLESS if metric == spec.name),
        }
        given = {f.name: f.default for f in fields if f.default is not None}
        assert check_options(spec, given) == given


class Untyped(Metric):
    name, direction, unit = "untyped", "higher", "points"

    def __init__(self, things=()) -> None:
        self.things = things

    def measure(self, trial: Trial) -> Measurement:
        return Measurement()


def test_an_option_without_a_type_is_passed_unchanged() -> None:
    assert make_metric(Spec("untyped", Untyped), {"things": ["a", 1]}).things == ["a", 1]
