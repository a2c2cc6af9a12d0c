"""Each check detects its violation and nothing else, and conforming algorithms pass all."""

import pytest
import torch

from metabench import Algorithm, Problem, Support
from metabench.testing import check_algorithm
from metabench.testing.checks import CHECKS
from tests.helpers.conforming import CONFORMING, Conforming
from tests.helpers.violations import VIOLATIONS

SMALL = (Problem("classification", (4, 4), 3, 2, 3, 3, ""),)
"""Smaller images than those of the kit's own problems."""

CASES = [(check, cls) for check, classes in VIOLATIONS.items() for cls in classes]


@pytest.mark.parametrize(("check", "cls"), CASES, ids=[cls.__name__ for _, cls in CASES])
def test_a_violation_fails_its_check_and_no_other(check: str, cls: type[Algorithm]) -> None:
    report = check_algorithm(cls, problems=SMALL)
    assert [result.name for result in report.results if result.status == "failed"] == [check], str(
        report
    )
    assert not report.ok


@pytest.mark.parametrize("cls", CONFORMING)
def test_conforming_algorithms_pass_all_checks(cls: type[Algorithm]) -> None:
    report = check_algorithm(cls, problems=SMALL)
    assert report.ok, str(report)
    assert report.not_applicable == 0, str(report)


def test_every_check_has_a_violation() -> None:
    assert [check.name for check in CHECKS] == list(VIOLATIONS)


class RandomPredictions(Conforming):
    """Some checks do not apply to random predictions."""

    def logits(self, query: torch.Tensor, means: torch.Tensor) -> torch.Tensor:
        found = super().logits(query, means)
        return found + 0.1 * torch.randn_like(found)


def test_checks_that_compare_predictions_do_not_apply_to_random_ones() -> None:
    report = check_algorithm(RandomPredictions)
    assert report.ok, str(report)
    skipped = {r.name for r in report.results if "predictions are random" in r.reason}
    assert skipped == {"label-order", "transduction", "batch-agrees", "path-ends-at-adapt"}


class SinglePrecision(Conforming):
    """Computes in float32 alone."""

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.linear(x.flatten(2), self.embed.weight.to(torch.float32))


def test_an_algorithm_without_float64_is_checked_in_float32() -> None:
    report = check_algorithm(SinglePrecision)
    assert report.ok, str(report)


class ReadsValues(Conforming):
    def adapt(self, support: Support) -> object:
        assert float(support.x.detach().mean()) < 1
        return super().adapt(support)


@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the check applies")
def test_without_a_gpu_the_device_check_does_not_apply_to_code_that_reads_values() -> None:
    report = check_algorithm(ReadsValues, checks=["device"])
    assert report.not_applicable == 1
    assert "there is no GPU here" in report.results[0].reason
