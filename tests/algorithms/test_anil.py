import pytest
import torch
from torch import Tensor

from metabench.algorithms.anil import ANIL
from metabench.algorithms.maml import MAML
from metabench.algorithms.problem import Problem
from tests.algorithms.test_maml import SMALL, with_large_weights
from tests.helpers.gradient_kit import build, classification, first_step, regression


class HeadOnlyMAML(MAML):
    def adapts(self, name: str) -> bool:
        return name.startswith("head.")


@pytest.mark.parametrize(
    "problem",
    [classification("mlp"), classification("conv"), regression()],
    ids=["mlp", "conv", "sinusoid"],
)
def test_anil_equals_maml_that_adapts_only_the_head(problem: Problem) -> None:
    anil, maml = (
        with_large_weights(build(cls, problem, test_steps=3, **SMALL))
        for cls in (ANIL, HeadOnlyMAML)
    )
    (batch, gradients, loss), (_, expected, expected_loss) = first_step(anil), first_step(maml)
    assert loss == pytest.approx(expected_loss)
    assert gradients.keys() == expected.keys()
    for name, g in expected.items():
        torch.testing.assert_close(gradients[name], g)
    anil.eval(), maml.eval()
    predictions = [a.adapt_batch(batch.support)(batch.query_x) for a in (anil, maml)]
    torch.testing.assert_close(*predictions)


def test_the_backbone_reads_the_support_set_once(monkeypatch: pytest.MonkeyPatch) -> None:
    algorithm = build(ANIL, classification("conv")).eval()
    body, calls = algorithm.learner.backbone, []

    def counting(params: dict[str, Tensor], x: Tensor) -> Tensor:
        calls.append(len(x))
        return type(body).forward_tasks(body, params, x)

    monkeypatch.setattr(body, "forward_tasks", counting)
    batch, *_ = first_step(algorithm)
    calls.clear()
    algorithm.eval()
    predict = algorithm.adapt_batch(batch.support)
    assert len(calls) == 1
    predict(batch.query_x)
    assert len(calls) == 2


def test_a_step_from_a_head_of_zeros_compares_features_with_class_means() -> None:
    """At zero the gradient is (softmax - labels) times the features, averaged over examples."""
    algorithm = build(ANIL, classification(), zero_head=True, inner_lr=0.9, test_steps=1)
    batch, *_ = first_step(algorithm)
    algorithm.eval()
    support, body = batch[0:1].support, algorithm.learner.backbone
    found = algorithm.adapt_batch(support)(batch.query_x[:1])
    with torch.no_grad():
        features, labels = body(support.x[0]), support.y[0]
        means = torch.stack([features[labels == c].mean(0) for c in range(support.ways)])
        expected = 0.3 * (body(batch.query_x[0]) @ (means - features.mean(0)).T)
    torch.testing.assert_close(found[0], expected)
