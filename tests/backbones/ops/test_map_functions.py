from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

from metabench.backbones.ops.batch_norm import batch_norm_relu
from metabench.backbones.ops.max_pool import max_pool
from metabench.backbones.ops.products import outputs
from metabench.backbones.ops.unfold import fold, unfold


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, requires_grad=True)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


SIDES = pytest.mark.parametrize("side", [(1, 1), (2, 3), (4, 5), (7, 4)])
STRIDES = pytest.mark.parametrize("stride", [1, 2])


@SIDES
@STRIDES
def test_unfolded_maps_make_a_convolution_a_product(side: tuple[int, int], stride: int) -> None:
    maps, weight = rand(2, *side, 3), rand(5, 3, 3, 3)
    got = unfold(maps, stride) @ weight.permute(0, 2, 3, 1).flatten(1).T
    expected = F.conv2d(maps.movedim(3, 1), weight, stride=stride, padding=1).movedim(1, 3)
    torch.testing.assert_close(got, expected)


@SIDES
@STRIDES
def test_fold_is_the_adjoint_of_unfold(side: tuple[int, int], stride: int) -> None:
    maps = rand(2, *side, 3)
    rows = unfold(maps, stride)
    other = torch.randn_like(rows)
    torch.testing.assert_close((rows * other).sum(), (maps * fold(other, side, stride)).sum())


@SIDES
@STRIDES
def test_unfold_and_fold_differentiate_twice(side: tuple[int, int], stride: int) -> None:
    maps = rand(1, *side, 2)
    rows = rand(*unfold(maps, stride).shape)
    for function, at in (
        (lambda m: unfold(m, stride), maps),
        (lambda r: fold(r, side, stride), rows),
    ):
        assert gradcheck(function, at, fast_mode=True)
        assert gradgradcheck(lambda t, f=function: f(t).square(), at, fast_mode=True)


@pytest.mark.parametrize("features", [2, 6])  # narrower and wider than the outputs
def test_products_differentiate_twice(features: int) -> None:
    operands = rand(2, 3, features), rand(2, 4, features)
    torch.testing.assert_close(outputs(*operands), operands[0] @ operands[1].mT)
    assert gradcheck(outputs, operands)
    assert gradgradcheck(outputs, operands)


@pytest.mark.parametrize("features", [2, 6])
def test_the_gradient_of_a_product_has_the_memory_layout_of_the_weight(features: int) -> None:
    weight = rand(2, 4, features)
    (grad,) = torch.autograd.grad(outputs(rand(2, 3, features), weight).sum(), weight)
    assert grad.is_contiguous()


@pytest.mark.parametrize("scale", [False, True])
def test_batch_norm_relu_equals_pytorch(scale: bool) -> None:
    y, beta = rand(2, 7, 3), rand(2, 3)
    gamma = rand(2, 3) if scale else None
    expected = [
        F.relu(
            F.batch_norm(
                y[t], None, None, None if gamma is None else gamma[t], beta[t], training=True
            )
        )
        for t in range(2)
    ]
    torch.testing.assert_close(batch_norm_relu(y, gamma, beta), torch.stack(expected))


@pytest.mark.parametrize("scale", [False, True])
def test_batch_norm_relu_differentiates_twice_in_all_its_inputs(scale: bool) -> None:
    y, beta, gamma = rand(2, 5, 3), rand(2, 3), rand(2, 3)
    inputs = (y, beta, gamma) if scale else (y, beta)

    def function(y: Tensor, beta: Tensor, gamma: Tensor | None = None) -> Tensor:
        return batch_norm_relu(y, gamma, beta)

    assert gradcheck(function, inputs)
    assert gradgradcheck(function, inputs)


def test_a_third_derivative_of_batch_norm_relu_is_an_error() -> None:
    y = rand(1, 5, 2)
    loss = batch_norm_relu(y, None, rand(1, 2)).pow(3).sum()
    (first,) = torch.autograd.grad(loss, y, create_graph=True)
    with pytest.raises(RuntimeError, match="third time"):
        torch.autograd.grad(first.pow(2).sum(), y, create_graph=True)


@pytest.mark.parametrize("side", [(2, 2), (4, 6), (5, 7)])
def test_max_pool_equals_pytorch_and_differentiates_twice(side: tuple[int, int]) -> None:
    maps = rand(2, *side, 3)
    torch.testing.assert_close(max_pool(maps), F.max_pool2d(maps.movedim(3, 1), 2).movedim(1, 3))
    assert gradcheck(max_pool, maps)
    assert gradgradcheck(lambda m: max_pool(m).pow(3), maps)


def test_max_pool_breaks_ties_as_pytorch_does() -> None:
    maps = torch.zeros(1, 4, 4, 2, dtype=torch.float64, requires_grad=True)
    (got,) = torch.autograd.grad(max_pool(maps).sum(), maps)
    (expected,) = torch.autograd.grad(F.max_pool2d(maps.movedim(3, 1), 2).sum(), maps)
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
