import pytest
import torch
from gradient_kit import build, classification, first_step, regression
from test_maml import SMALL, wide
from torch import Tensor

from metabench.algorithms.anil import ANIL
from metabench.algorithms.maml import MAML
from metabench.algorithms.problem import Problem


class HeadOnlyMAML(MAML):
    def adapts(self, name: str) -> bool:
        return name.startswith("head.")


@pytest.mark.parametrize(
    "problem", [classification("mlp"), classification("conv"), regression()], ids=["mlp", "conv", "sinusoid"]
)
def test_it_is_maml_whose_inner_loop_adapts_the_head_only(problem: Problem) -> None:
    anil, maml = (wide(build(cls, problem, test_steps=3, **SMALL)) for cls in (ANIL, HeadOnlyMAML))
    (batch, gradients, loss), (_, expected, expected_loss) = first_step(anil), first_step(maml)
    assert loss == pytest.approx(expected_loss)
    assert gradients.keys() == expected.keys()
    for name, g in expected.items():
        torch.testing.assert_close(gradients[name], g)
    anil.eval(), maml.eval()
    predictions = [a.adapt_batch(batch.support)(batch.query_x) for a in (anil, maml)]
    torch.testing.assert_close(*predictions)


def test_the_body_sees_the_support_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = build(ANIL, classification("conv")).eval()
    body, calls = algorithm.learner.backbone, []

    def counted(params: dict[str, Tensor], x: Tensor) -> Tensor:
        calls.append(len(x))
        return type(body).forward_tasks(body, params, x)

    monkeypatch.setattr(body, "forward_tasks", counted)
    batch, *_ = first_step(algorithm)
    calls.clear()
    algorithm.eval()
    predict = algorithm.adapt_batch(batch.support)
    assert len(calls) == 1
    predict(batch.query_x)
    assert len(calls) == 2
