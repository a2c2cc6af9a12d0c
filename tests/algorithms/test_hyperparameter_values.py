"""Values of hyper-parameters are converted to the types of the signature, or are an error."""

from __future__ import annotations

import inspect
from typing import Any, Literal

import numpy as np
import pytest

from metabench.algorithms.base import Algorithm, convert_value, resolve_hyperparameters
from metabench.errors import PluginError, UsageError
from metabench.recipes.hyperparameters import recipe_for
from metabench.registry import Registry
from tests.helpers.few_shot import classification


def parameter(annotation: Any, default: Any = 1) -> inspect.Parameter:
    return inspect.Parameter(
        "x", inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


@pytest.mark.parametrize(
    ("annotation", "value", "converted"),
    [
        (float, "0.5", 0.5),
        (float, 2, 2.0),
        (float, np.float32(0.5), 0.5),
        (int, "3", 3),
        (int, 3.0, 3),
        (int, np.int64(3), 3),
        (int | None, "3", 3),
        (bool, "no", False),
        (bool, np.bool_(True), True),
        (str, "text", "text"),
        (Literal["a", 2], "2", 2),
    ],
    ids=str,
)
def test_text_and_numbers_are_converted(annotation: Any, value: Any, converted: Any) -> None:
    result = convert_value("mine.x", parameter(annotation), value)
    assert result == converted
    assert type(result) is type(converted)


@pytest.mark.parametrize("annotation", [float, int, bool, str, int | None, Literal["a", "b"]])
@pytest.mark.parametrize("value", [None, [1], {"a": 1}], ids=str)
def test_none_and_containers_are_an_error_for_every_type(annotation: Any, value: Any) -> None:
    with pytest.raises(UsageError, match=r"mine\.x = .* is not "):
        convert_value("mine.x", parameter(annotation), value)


@pytest.mark.parametrize(
    ("annotation", "value"),
    [(int, 2.5), (int, float("inf")), (int, True), (float, False), (float, "big"), (bool, 2)],
    ids=str,
)
def test_a_value_of_another_type_is_an_error(annotation: Any, value: Any) -> None:
    with pytest.raises(UsageError, match=r"mine\.x = .* is not of type") as caught:
        convert_value("mine.x", parameter(annotation), value)
    assert caught.value.hint == "Its default is 1."


class Scaled(Algorithm):
    name = "scaled"
    chosen: dict[str, Any]

    def __init__(self, problem: Any, *, scale: float = 1.0) -> None:
        super().__init__(problem)

    @classmethod
    def recipe(cls, problem: Any) -> dict[str, Any]:
        return cls.chosen

    def adapt(self, support: Any) -> Any: ...


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ({"scale": "big"}, "the recipe method of 'scaled': scale = 'big' is not of type float"),
        ({"scale": None}, "the recipe method of 'scaled': scale = None is not of type float"),
        ({"scael": 1.0}, "the recipe method of 'scaled' sets 'scael', which is not a hyper-"),
        ({"budget": 10}, "the recipe method of 'scaled' sets 'budget', which is the benchmark's"),
    ],
)
def test_an_invalid_value_of_a_recipe_method_is_an_error_of_its_plugin(
    chosen: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scaled, "chosen", chosen, raising=False)
    with pytest.raises(PluginError) as caught:
        recipe_for(Registry(), Scaled, classification())
    assert says in caught.value.message


def test_a_value_of_a_recipe_method_is_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scaled, "chosen", {"scale": 2}, raising=False)
    recipe = recipe_for(Registry(), Scaled, classification())
    assert recipe.values == {"scale": 2.0}
    assert resolve_hyperparameters(Scaled, {}, recipe.values)["scale"] == 2.0
