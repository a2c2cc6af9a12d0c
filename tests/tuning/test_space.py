"""The search space: factors of numbers, choices, and what it leaves alone."""

import math
from pathlib import Path

import numpy as np
import pytest

from metabench.algorithms.base import parameters_of
from metabench.errors import ConfigError
from metabench.plugins import installed_plugins
from metabench.tuning.space import Space, read_space

SPACE = Space(factors={"lr": 10.0, "tasks": 4.0, "shots": 2.0}, choices={"anneal": (True, False)})
DEFAULTS = {"lr": 0.01, "tasks": 4, "shots": 0, "anneal": True, "norm": "batch"}


def draws(count: int, seed: int = 0) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    return [{**DEFAULTS, **SPACE.draw(DEFAULTS, rng)} for _ in range(count)]


def test_a_number_is_log_uniform_within_its_factor() -> None:
    exponents = [math.log10(float(d["lr"]) / 0.01) for d in draws(4000)]
    assert -1 <= min(exponents) < -0.95
    assert 0.95 < max(exponents) <= 1
    assert abs(np.mean(exponents)) < 0.03
    assert np.std(exponents) == pytest.approx(1 / math.sqrt(3), abs=0.02)  # uniform on [-1, 1]


def test_an_integer_stays_an_integer_of_at_least_1() -> None:
    assert {d["tasks"] for d in draws(2000)} == set(range(1, 17))
    assert all(type(d["tasks"]) is int for d in draws(20))


def test_zero_and_names_outside_of_the_space_keep_their_value() -> None:
    for drawn in draws(50):
        assert drawn["shots"] == 0
        assert drawn["norm"] == "batch"


def test_each_choice_is_drawn_about_as_often() -> None:
    assert np.mean([d["anneal"] is True for d in draws(2000)]) == pytest.approx(0.5, abs=0.04)


def test_a_seed_gives_the_same_trials_again_and_another_seed_gives_others() -> None:
    assert draws(5) == draws(5)
    assert draws(5) != draws(5, seed=1)


def test_another_default_does_not_move_the_draws_of_the_other_hyperparameters() -> None:
    first = SPACE.draw(DEFAULTS, np.random.default_rng(0))
    second = SPACE.draw(DEFAULTS | {"lr": 0.0}, np.random.default_rng(0))
    assert {k: v for k, v in first.items() if k != "lr"} == second


def test_only_what_differs_from_the_default_is_returned() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert all(value != DEFAULTS[name] for name, value in SPACE.draw(DEFAULTS, rng).items())


def test_the_shipped_space_names_only_hyperparameters_that_some_algorithm_has() -> None:
    registry = installed_plugins().registry
    known = {p for s in registry.specs("algorithm") for p in parameters_of(s.load())}
    assert read_space().names <= known


def test_the_shipped_space_leaves_the_track_and_the_network_alone() -> None:
    assert not {"norm", "backbone", "channels", "hidden"} & read_space().names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[factors]\nlr = 1.0", "factors.lr: it must be greater than 1"),
        ("[factors]\nlr = inf", "factors.lr"),
        ("[choices]\nhold = [0.5]", "choices.hold"),
        ("[factor]\nlr = 2.0", "factor: there is no such key"),
        ("[factors", "cannot be read"),
    ],
)
def test_an_invalid_file_is_reported_with_its_key(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "space.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_space(path)


def test_a_missing_file_is_reported_with_its_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml' cannot be read"):
        read_space(tmp_path / "nowhere.toml")
