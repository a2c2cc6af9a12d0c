"""Options of metrics are read off their constructors and checked."""

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


def test_values_become_what_the_constructor_asks_for() -> None:
    metric: Any = make_metric(
        spec_of("adversarial"), {"radii": [0.1, 1], "l2_radii": [], "episodes": 5}
    )
    assert (metric.radii, metric.l2_radii, metric.episodes) == ((0.1, 1.0), (), 5)
    assert metric == make_metric(
        spec_of("adversarial"), {"radii": (0.1, 1.0), "l2_radii": (), "episodes": 5}
    )


def test_no_options_are_the_defaults() -> None:
    assert make_metric(spec_of("noise"), {}) == spec_of("noise").load()()


@pytest.mark.parametrize(
    ("metric", "options", "says", "hint"),
    [
        ("noise", {"severites": [3]}, "no option 'severites'. Did you mean 'severities'?", "flips"),
        ("cost", {"episodes": 3}, "metric 'cost' has no option 'episodes'", "none at all"),
        ("noise", {"episodes": "many"}, "noise.episodes = 'many' cannot be", "Its default is 100"),
        ("noise", {"severities": 3}, "noise.severities = 3 cannot be", "(1, 2, 3, 4, 5)"),
        ("shift", {"wheres": ["here"]}, "shift.wheres = ['here'] cannot be", "'query'"),
        ("adversarial", {"radii": [float("nan")]}, "adversarial.radii = [nan] cannot be", "None"),
        ("adversarial", {"steps": 1.5}, "adversarial.steps = 1.5 cannot be", "20"),
    ],
)
def test_what_cannot_be_names_what_exists(metric: str, options: Any, says: str, hint: str) -> None:
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


def test_an_option_without_a_type_is_handed_on_as_it_is() -> None:
    assert make_metric(Spec("untyped", Untyped), {"things": ["a", 1]}).things == ["a", 1]
