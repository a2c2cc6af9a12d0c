"""Each check fails for whoever does what it forbids, no other check does, and the honest pass them all."""

import pytest
import torch

from metabench import Algorithm, Problem, Support
from metabench.testing import check_algorithm
from metabench.testing.checks import CHECKS
from tests.helpers.specimens import HONEST, PLANTED, Honest

SMALL = (Problem("classification", (4, 4), 3, 2, 3, 3, ""),)
"""The kit's own problems have images of 28x28, which these algorithms do not need."""

CASES = [(check, cls) for check, planted in PLANTED.items() for cls in planted]


@pytest.mark.parametrize(("check", "cls"), CASES, ids=[cls.__name__ for _, cls in CASES])
def test_who_does_what_a_check_forbids_fails_it_alone(check: str, cls: type[Algorithm]) -> None:
    report = check_algorithm(cls, problems=SMALL)
    assert [result.name for result in report.results if result.status == "failed"] == [check], str(
        report
    )
    assert not report.ok


@pytest.mark.parametrize("cls", HONEST)
def test_the_honest_pass(cls: type[Algorithm]) -> None:
    report = check_algorithm(cls, problems=SMALL)
    assert report.ok, str(report)
    assert report.not_applicable == 0, str(report)


def test_every_check_has_somebody_who_fails_it() -> None:
    assert [check.name for check in CHECKS] == list(PLANTED)


class Restless(Honest):
    """Random, as some honest methods are: where chance decides, some checks cannot tell."""

    def logits(self, query: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        found = super().logits(query, means)
        return found + 0.1 * torch.randn_like(found)


def test_what_chance_decides_is_not_held_against_a_random_method() -> None:
    report = check_algorithm(Restless)
    assert report.ok, str(report)
    silent = {r.name for r in report.results if "predictions are random" in r.reason}
    assert silent == {"label-order", "transduction", "batch-agrees", "path-ends-at-adapt"}


class SinglePrecision(Honest):
    """One that cannot compute in float64 is looked at in float32."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.flatten(2), self.embed.weight.to(torch.float32))


def test_who_computes_in_single_precision_alone_passes() -> None:
    report = check_algorithm(SinglePrecision)
    assert report.ok, str(report)


class LooksAtNumbers(Honest):
    def adapt(self, support: Support) -> object:
        assert float(support.x.detach().mean()) < 1
        return super().adapt(support)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU can tell")
def test_without_a_gpu_who_looks_at_numbers_is_not_judged_on_devices() -> None:
    report = check_algorithm(LooksAtNumbers, checks=["device"])
    assert report.not_applicable == 1
    assert "there is no GPU here" in report.results[0].reason
