import torch
from torch import Tensor

from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_sgd import INITIAL_RATES, MetaSGD
from metabench.learning.predictors import after
from tests.algorithms.test_maml import wide
from tests.helpers.gradient_kit import (
    LEARNED,
    assert_gradient,
    build,
    classification,
    first_step,
    regression,
)


def test_the_gradients_of_the_rates_and_the_initialisation_are_those_of_the_outer_loss() -> None:
    for problem in (classification("mlp"), classification("conv"), regression()):
        algorithm = wide(build(MetaSGD, problem, tasks=3, mirror=False, **LEARNED))
        batch, gradients, _ = first_step(algorithm)

        def outer_loss(algorithm: MetaSGD = algorithm, batch=batch) -> Tensor:  # type: ignore[no-untyped-def]
            adapted = after(algorithm.inner_steps, algorithm.trajectory(batch.support))
            return algorithm.problem.loss(adapted(batch.query_x), batch.query_y).mean()

        assert_gradient(outer_loss, dict(algorithm.named_parameters()), gradients)


def test_with_equal_rates_one_step_is_mamls() -> None:
    sgd, maml = (wide(build(cls, classification(), tasks=3, **LEARNED)) for cls in (MetaSGD, MAML))
    maml.inner_lr = float(sgd.rates[0].detach().flatten()[0])
    batch, *_ = first_step(sgd)
    torch.testing.assert_close(
        *(after(1, a.trajectory(batch.support))(batch.query_x) for a in (sgd, maml)),
    )


def test_all_rates_start_at_one_value_of_the_papers_range() -> None:
    starts = set()
    for seed in range(5):
        rates = build(MetaSGD, classification(), seed=seed).rates
        values = torch.cat([r.detach().flatten() for r in rates]).unique()
        assert len(values) == 1
        assert INITIAL_RATES[0] <= float(values) <= INITIAL_RATES[1]
        starts.add(float(values))
    assert len(starts) == 5
