"""Options of metrics are read from their constructors and checked."""

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
    ],
)
def test_an_invalid_option_is_reported_with_the_valid_ones(
    metric: str, options: Any, says: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_options(spec_of(metric), options)
    assert says in caught.value.message
    assert hint in caught.value.hint


class Untyped(Metric):
    name, direction, unit = "untyped", "higher", "points"

    def __init__(self, things=()) -> None:
        self.things = things

    def measure(self, trial: Trial) -> Measurement:
        return Measurement()


def test_an_option_without_a_type_is_passed_unchanged() -> None:
    assert make_metric(Spec("untyped", Untyped), {"things": ["a", 1]}).things == ["a", 1]
