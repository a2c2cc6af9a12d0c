"""The report, the command and the pytest plugin agree about an algorithm."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from metabench import Algorithm, NotApplicable, Predictor, Problem, Support
from metabench.errors import UnknownName, UsageError
from metabench.testing import ConformanceError, Kit, check_algorithm
from metabench.testing.checks import CHECKS
from tests.helpers.conforming import Conforming
from tests.helpers.violations.contract import OneLogitTooMany
from tests.helpers.violations.independence import PrefersLastClass

SMALL = (Problem("classification", (4, 4), 3, 2, 3, 3, ""),)
NAMES = [check.name for check in CHECKS]


def test_a_report_counts_statuses_and_prints_reasons() -> None:
    report = check_algorithm(PrefersLastClass, problems=SMALL)
    assert (report.passed, report.failed, report.not_applicable) == (len(CHECKS) - 1, 1, 0)
    assert [result.name for result in report.results] == NAMES
    with pytest.raises(
        ConformanceError, match="conforming: 15 passed, 1 failed, 0 not applicable"
    ) as caught:
        report.raise_for_failures()
    assert "FAILED  label-order" in str(caught.value)
    assert "`depends_on_label_order` is False" in str(caught.value)


def test_a_report_without_any_passed_check_is_a_failure() -> None:
    class NeverApplicable(Conforming):
        def __init__(self, problem: Problem) -> None:
            raise NotApplicable("not today.")

    report = check_algorithm(NeverApplicable, problems=SMALL)
    assert report.not_applicable == len(CHECKS)
    assert {result.reason for result in report.results} == {"not today."}
    with pytest.raises(ConformanceError, match="no check ran, which is a failure"):
        report.raise_for_failures()


def test_checks_after_a_failed_prerequisite_do_not_apply() -> None:
    report = check_algorithm(OneLogitTooMany, problems=SMALL)
    reasons = {result.name: result.reason for result in report.results}
    assert "the shape (9, 4) and not (9, 3)" in reasons["shapes"]
    assert {reasons[name] for name in NAMES[NAMES.index("shapes") + 1 :]} == {"'shapes' fails."}


def test_checks_are_selected_by_name_or_glob() -> None:
    report = check_algorithm(Conforming, checks=["label-*", "shapes"], problems=SMALL)
    assert [result.name for result in report.results] == ["shapes", "label-order"]
    with pytest.raises(UnknownName, match=r"unknown check .shape.\. Did you mean .shapes.\?"):
        check_algorithm(Conforming, checks=["shape"])


def test_a_class_that_is_not_an_algorithm_is_rejected() -> None:
    with pytest.raises(UsageError, match=r"does not derive from metabench\.Algorithm"):
        Kit(dict)  # type: ignore[arg-type]


def test_the_kit_restores_the_random_state_and_the_default_dtype() -> None:
    torch.manual_seed(0)
    expected = torch.rand(())
    torch.manual_seed(0)
    check_algorithm(Conforming, problems=SMALL)
    assert torch.rand(()) == expected
    assert torch.get_default_dtype() == torch.float32


def test_reasons_name_the_kind_of_problem() -> None:
    report = check_algorithm("random", checks=["shapes", "label-order"])
    assert [result.status for result in report.results] == ["passed", "not-applicable"]
    reason = report.results[1].reason
    assert reason.startswith("classification: its predictions are random")
    assert reason.endswith("regression: there are no classes in regression.")


class NearestPixels(Algorithm):
    """Assumes classes, which regression does not have."""

    name = "nearest-pixels"

    def adapt(self, support: Support) -> Predictor:
        means = support.class_means(support.x.flatten(1))
        return lambda query: -torch.cdist(query.flatten(1), means)


def test_an_algorithm_that_needs_classes_is_not_checked_on_regression() -> None:
    report = check_algorithm(NearestPixels, checks=["shapes", "no-state"])
    assert report.passed == 2, str(report)
    regression = Problem("regression", (1,), 0, 5, 8, 1, "")
    report = check_algorithm(NearestPixels, checks=["shapes", "no-state"], problems=[regression])
    assert {result.reason for result in report.results} == {
        "it asks for classes, and this benchmark is regression."
    }


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "pytest", "-p", "no:cacheprovider", "-v", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


def test_pytest_has_one_test_per_check(tmp_path: Path) -> None:
    done = run_pytest(
        tmp_path, "--metabench-algorithm=nearest-mean", "-k", "not memory and not device"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name in set(NAMES) - {"memory", "device"}:
        assert f"metabench::nearest-mean::{name} " in done.stdout
    assert "metabench::nearest-mean::path-ends-at-adapt SKIPPED" in done.stdout
    assert f"{len(NAMES) - 4} passed, 2 skipped, 2 deselected" in done.stdout


def test_pytest_reports_an_unknown_algorithm(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--metabench-algorithm=nearest-men")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unknown algorithm 'nearest-men'. Did you mean 'nearest-mean'?" in done.stderr


def test_pytest_does_not_import_torch_without_the_option(tmp_path: Path) -> None:
    (tmp_path / "test_nothing.py").write_text(
        "import sys\n"
        "def test_nothing():\n"
        "    assert 'metabench.testing.pytest_plugin' in sys.modules\n"
        "    assert 'torch' not in sys.modules and 'metabench.plugins' not in sys.modules\n"
    )
    done = run_pytest(tmp_path)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
