import torch
from torch import Tensor

from metabench.algorithms.maml import MAML
from metabench.algorithms.meta_sgd import INITIAL_RATES, MetaSGD
from metabench.learning.predictors import after
from tests.algorithms.test_maml import with_large_weights
from tests.helpers.gradient_kit import (
    LEARNED_HEAD,
    assert_gradient,
    build,
    classification,
    first_step,
    regression,
)


def test_the_outer_gradient_matches_finite_differences() -> None:
    for problem in (classification("mlp"), classification("conv"), regression()):
        algorithm = with_large_weights(
            build(MetaSGD, problem, tasks=3, mirror=False, **LEARNED_HEAD)
        )
        batch, gradients, _ = first_step(algorithm)

        def outer_loss(algorithm: MetaSGD = algorithm, batch=batch) -> Tensor:  # type: ignore[no-untyped-def]
            adapted = after(algorithm.inner_steps, algorithm.trajectory(batch.support))
            return algorithm.problem.loss(adapted(batch.query_x), batch.query_y).mean()

        assert_gradient(outer_loss, dict(algorithm.named_parameters()), gradients)


def test_a_step_with_equal_rates_equals_that_of_maml() -> None:
    sgd, maml = (
        with_large_weights(build(cls, classification(), tasks=3, **LEARNED_HEAD))
        for cls in (MetaSGD, MAML)
    )
    maml.inner_lr = float(sgd.rates[0].detach().flatten()[0])
    batch, *_ = first_step(sgd)
    torch.testing.assert_close(
        *(after(1, a.trajectory(batch.support))(batch.query_x) for a in (sgd, maml)),
    )


def test_all_rates_start_at_one_value_in_the_range_of_the_paper() -> None:
    starts = set()
    for seed in range(5):
        rates = build(MetaSGD, classification(), seed=seed).rates
        values = torch.cat([r.detach().flatten() for r in rates]).unique()
        assert len(values) == 1
        assert INITIAL_RATES[0] <= float(values) <= INITIAL_RATES[1]
        starts.add(float(values))
    assert len(starts) == 5
