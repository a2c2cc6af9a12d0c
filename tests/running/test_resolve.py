"""Resolving a cell: its hyper-parameters, its metrics and its key."""

from typing import Any

import pytest

from metabench.errors import CellFailed, UsageError
from metabench.running.cell import Cell
from metabench.running.resolve import ResolvedCell, resolve
from tests.helpers.cells import blobs, cell, tasks_of


def resolved(plugins, what: Cell) -> ResolvedCell:
    return resolve(what, tasks_of(plugins, what.benchmark, what.seed), plugins.registry)


class TestKey:
    def test_it_changes_with_everything_that_scores_depend_on(self, planted) -> None:
        cells = [
            cell("learner"),
            cell("learner", seed=1),
            cell("learner", lr=0.5),
            cell("forgetful"),
            cell("learner", blobs(version="2")),
            cell("learner", blobs().quickened()),
        ]
        assert len({resolved(planted, what).key for what in cells}) == len(cells)

    def test_a_default_and_an_equal_value_in_another_notation_have_the_same_key(
        self, planted
    ) -> None:
        keys = {
            resolved(planted, cell("learner", **given)).key
            for given in ({}, {"lr": 0.01}, {"lr": "0.010"})
        }
        assert len(keys) == 1

    def test_it_changes_with_the_data(self, planted, monkeypatch) -> None:
        before = resolved(planted, cell("learner")).key
        monkeypatch.setattr(planted.registry.get("dataset", "blobs").load(), "salt", 1)
        assert resolved(planted, cell("learner")).key != before

    def test_it_does_not_change_with_the_metrics_besides_the_one_that_ranks(self, planted) -> None:
        more = cell("learner", blobs(metrics=("accuracy", "cost")))
        assert resolved(planted, more).key == resolved(planted, cell("learner")).key


class TestHyperparameters:
    def test_overrides_are_converted_to_their_types(self, planted) -> None:
        found = resolved(planted, cell("learner", lr="0.020"))
        assert found.cell.overrides == found.algorithm.overrides == {"lr": 0.02}

    @pytest.mark.parametrize("budget", ["many", "-5", "1.5", -1])
    def test_an_invalid_budget_is_an_error(self, planted, budget: Any) -> None:
        with pytest.raises(UsageError, match="is not a number of examples"):
            resolved(planted, cell("learner", budget=budget))

    @pytest.mark.parametrize("value", ["nan", "inf", float("-inf")])
    def test_a_value_that_is_not_finite_is_an_error(self, planted, value: Any) -> None:
        with pytest.raises(UsageError, match="finite"):
            resolved(planted, cell("learner", lr=value))

    def test_an_unknown_one_comes_with_all_that_can_be_set(self, planted) -> None:
        with pytest.raises(UsageError, match="has no hyper-parameter 'budgt'") as caught:
            resolved(planted, cell("learner", budgt=3))
        assert caught.value.hint == "It has lr, tasks, noise, and as every algorithm 'budget'."

    @pytest.mark.parametrize("value", [None, True, [0.1], {"a": 1}, "big"])
    def test_a_value_of_another_type_is_an_error_with_the_default(
        self, planted, value: Any
    ) -> None:
        with pytest.raises(UsageError, match=r"learner\.lr = .* is not of type float") as caught:
            resolved(planted, cell("learner", lr=value))
        assert caught.value.hint == "Its default is 0.01."

    def test_the_budget_is_not_an_argument_of_the_algorithm(self, planted) -> None:
        found = resolved(planted, cell("learner", budget=100))
        assert found.budget == 100
        assert found.make_algorithm().problem.budget == 480  # the benchmark's


class TestMetrics:
    def test_the_first_one_ranks_and_has_its_options(self, planted) -> None:
        options = {"shift": {"episodes": 3}}
        benchmark = blobs(metrics=("accuracy", "shift"), metric_options=options)
        found = resolved(planted, cell("learner", benchmark))
        assert [metric.name for metric in found.metrics] == ["accuracy", "shift"]
        assert found.metrics[0].make_ranking().name == "accuracy"
        assert found.metrics[1].make().episodes == 3

    def test_a_metric_that_scores_no_episodes_cannot_rank(self, planted) -> None:
        found = resolved(planted, cell("learner", blobs(metrics=("cost",))))
        with pytest.raises(CellFailed, match="'cost' cannot rank"):
            found.metrics[0].make_ranking()
