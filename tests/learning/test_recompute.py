"""Inner steps made again in the backward pass: the same numbers, and graphs that are not kept."""

import gc
import weakref

import pytest
import torch
from torch import Tensor

from metabench.algorithms.fomaml import FOMAML
from metabench.algorithms.maml import MAML
from metabench.learning.recompute import recomputed
from tests.algorithms.test_maml import SMALL, wide
from tests.helpers.gradient_kit import build, classification, first_step


@pytest.mark.parametrize("method", [MAML, FOMAML])
def test_the_outer_gradient_is_the_same_to_the_last_bit(method: type[MAML]) -> None:
    options = {**SMALL, "inner_steps": 4}
    kept, again = (wide(build(method, classification(), **options)) for _ in range(2))
    again.recompute = True
    (_, gradients, loss), (_, others, other_loss) = first_step(kept), first_step(again)
    assert loss == other_loss
    assert any(bool(g.any()) for g in gradients.values())
    for name, gradient in gradients.items():
        assert torch.equal(gradient, others[name]), name


def test_the_second_order_terms_are_in_the_recomputed_gradient() -> None:
    options = {**SMALL, "inner_steps": 2}
    second, first = (wide(build(method, classification(), **options)) for method in (MAML, FOMAML))
    second.recompute = first.recompute = True
    (_, gradients, _), (_, others, _) = first_step(second), first_step(first)
    assert any(not torch.allclose(gradients[name], others[name]) for name in gradients)


def test_what_a_step_computes_on_its_way_is_not_kept() -> None:
    passed: list[weakref.ref[Tensor]] = []

    def step(params: dict[str, Tensor]) -> dict[str, Tensor]:
        with torch.enable_grad():
            middle = params["w"].exp()
            passed.append(weakref.ref(middle))
            return {"w": middle.sin(), "still": params["still"]}

    start = {"w": torch.ones(3, requires_grad=True), "still": torch.ones(2)}
    plain = step(step(start))
    gc.collect()
    assert all(middle() is not None for middle in passed), "as a graph holds them"
    del plain
    passed.clear()
    found = recomputed(step, recomputed(step, start))  # type: ignore[arg-type]
    gc.collect()
    assert [middle() for middle in passed] == [None, None]
    found["w"].sum().backward()
    w = start["w"].detach().clone().requires_grad_()
    w.exp().sin().exp().sin().sum().backward()
    assert start["w"].grad is not None
    assert w.grad is not None
    assert torch.equal(start["w"].grad, w.grad)
    assert start["still"].grad is None
    assert len(passed) == 4
