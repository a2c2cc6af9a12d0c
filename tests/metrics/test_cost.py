"""FLOPs, times and parameters of adapting and predicting."""

import pytest
from torch import Tensor

from metabench.metrics.cost import Cost
from tests.helpers.small_trials import GradientDescent, Means, OneByOne, image_trial


class Products(Means):
    """One matrix product of a known size to adapt."""

    def embed(self, x: Tensor) -> Tensor:
        return x.flatten(-3) @ x.new_ones(144, 10)


def test_flops_of_a_known_matrix_product() -> None:
    values = Cost().measure(image_trial(Products, queries=6)).values
    products = 2 * 5 * 144 * 10
    class_means = 2 * 5 * 5 * 10
    assert values["adapt_flops"] == products + class_means
    assert values["predict_flops"] >= 2 * 30 * 144 * 10


def test_flops_of_a_backward_pass_are_counted() -> None:
    values = Cost().measure(image_trial(GradientDescent)).values
    # 21 times: the logits of 5 images by 5 classes, and the gradient of the head.
    assert values["adapt_flops"] == pytest.approx(21 * 2 * (2 * 5 * 144 * 5), rel=0.1)


def test_operations_that_cannot_be_counted_are_not_applicable() -> None:
    values = Cost().measure(image_trial(OneByOne)).values
    assert "none of its operations" in values["predict_flops"]["n/a"]
    assert values["adapt_ms"] > 0
    assert values["predict_ms_per_query"] == pytest.approx(values["predict_ms"] / 30)
    assert values["parameters"] == 0
