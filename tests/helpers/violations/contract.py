"""Algorithms that violate the contract: construction, training, shapes and unchanged inputs."""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from metabench import Support
from tests.helpers.conforming import Conforming
from tests.helpers.violations.register import Violations

VIOLATIONS = Violations()
violates = VIOLATIONS.register


@violates("constructs")
class NoDefault(Conforming):
    def __init__(self, problem: Any, *, width: int) -> None:
        super().__init__(problem)


@violates("constructs")
class NoType(Conforming):
    def __init__(self, problem: Any, *, width=3) -> None:
        super().__init__(problem)


@violates("constructs")
class TupleDefault(Conforming):
    def __init__(self, problem: Any, *, widths: tuple[int, ...] = (3, 4)) -> None:
        super().__init__(problem)


@violates("constructs")
class NotKeywordOnly(Conforming):
    def __init__(self, problem: Any, width: int = 3) -> None:
        super().__init__(problem)


@violates("constructs")
class DefaultOfWrongType(Conforming):
    def __init__(self, problem: Any, *, width: int = "wide") -> None:  # type: ignore[assignment]
        super().__init__(problem)


@violates("constructs")
class WrongRecipe(Conforming):
    @classmethod
    def recipe(cls, problem: Any) -> Any:
        return {"learning_rate": 0.1}


@violates("constructs")
class OverwritesProblem(Conforming):
    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.problem = None  # type: ignore[assignment]


@violates("constructs")
class RaisesInConstructor(Conforming):
    def __init__(self, problem: Any) -> None:
        raise RuntimeError("no luck")


@violates("meta-trains")
class DrawsNoTasks(Conforming):
    def meta_train(self, tasks: Any) -> None:
        pass


@violates("meta-trains")
class TrainsToNaN(Conforming):
    def meta_train(self, tasks: Any) -> None:
        for _ in tasks.batches(2):
            self.embed.weight.data.fill_(float("nan"))


@violates("meta-trains")
class ExitsInTraining(Conforming):
    def meta_train(self, tasks: Any) -> None:
        raise SystemExit(3)


@violates("shapes")
class OneLogitTooMany(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)
        return predict if self.training else lambda query: F.pad(predict(query), (0, 1))


@violates("shapes")
class ReturnsTensorFromAdapt(Conforming):
    def adapt(self, support: Support) -> Any:
        return support.x


@violates("shapes")
class ReturnsLabels(Conforming):
    def adapt(self, support: Support) -> Any:
        predict = super().adapt(support)
        return lambda query: predict(query).argmax(-1)


@violates("shapes")
class ReturnsInfinity(Conforming):
    def logits(self, query: Tensor, means: Tensor) -> Tensor:
        found = super().logits(query, means)
        return found if self.training else found / 0


@violates("shapes")
class FixedNumberOfQueries(Conforming):
    def adapt(self, support: Support) -> Any:
        predict, count = super().adapt(support), self.problem.ways * self.problem.queries
        return lambda query: predict(query.view(count, *query.shape[1:]))


@violates("inputs-unchanged")
class ClampsSupportInPlace(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        support.x.clamp_(max=0.5)
        return super().rule(support, steps)


@violates("inputs-unchanged")
class WritesIntoQueries(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        predict = super().rule(support, steps)

        def predict_without_corner(query: Tensor) -> Tensor:
            blank = query.clone()
            blank[..., 0, 0] = 0
            if not (self.training or query.requires_grad):
                query[..., 0, 0] = 0
            return predict(blank)

        return predict_without_corner


@violates("inputs-unchanged")
class MakesSupportRequireGradients(Conforming):
    def rule(self, support: Support, steps: int = 3) -> Any:
        support.x.requires_grad_()
        return super().rule(Support(support.x.detach(), support.y, support.ways), steps)
