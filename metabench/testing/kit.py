"""Run the checks of an algorithm."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn

import torch

from metabench.algorithms.base import Algorithm, Value
from metabench.algorithms.problem import Problem
from metabench.errors import NotApplicable, UnknownName, UsageError
from metabench.plugins import installed_plugins
from metabench.registry import describe_error, match_names
from metabench.running.resolve import algorithm_class
from metabench.testing.check import Check, CheckFailed
from metabench.testing.checks import CHECKS, PREREQUISITES
from metabench.testing.report import CheckResult, CheckStatus, Report
from metabench.testing.small_problems import small_problems
from metabench.testing.subject import Subject

Found = tuple[CheckStatus, str]
"""Status of a check on one problem, with the reason."""


class Kit:
    """The checks of one algorithm; each runs once on every problem.

    Args:
        cls: The algorithm.
        hyperparameters: Hyper-parameters that differ from their defaults.
        problems: Problems to test on; by default small classification and regression problems. A
            check passes if it passes on one and fails on none.

    Raises:
        UsageError: If the class is not an algorithm.
    """

    def __init__(
        self,
        cls: type[Algorithm],
        *,
        hyperparameters: Mapping[str, Value] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        if not (isinstance(cls, type) and issubclass(cls, Algorithm)):
            raise UsageError(f"{cls!r} does not derive from metabench.Algorithm.")
        self.cls = cls
        self.hyperparameters = dict(hyperparameters or {})
        self.problems = tuple(problems) or small_problems()
        self._subjects: dict[tuple[int, torch.dtype], Subject] = {}
        self._found: dict[tuple[str, int], Found] = {}

    def run(self, name: str) -> CheckResult:
        """Run one check.

        Raises:
            UnknownName: If there is no such check.
        """
        check = _named(name)
        start = time.perf_counter()
        found = [self._on_problem(check, index) for index in range(len(self.problems))]
        status, reason = _summary([p.kind for p in self.problems], found)
        return CheckResult(check.name, check.claim, status, reason, time.perf_counter() - start)

    def report(self, checks: Iterable[str] = ()) -> Report:
        """Run some checks, by default all.

        Args:
            checks: Names or globs.

        Raises:
            UnknownName: If one of them matches no check.
        """
        names = [check.name for check in CHECKS]
        chosen = (
            match_names("check", names, checks, _no_check) if (checks := tuple(checks)) else names
        )
        name = str(getattr(self.cls, "name", self.cls.__name__))
        return Report(name, tuple(self.run(check) for check in chosen))

    def _on_problem(self, check: Check, index: int) -> Found:
        """Returns the result of a check on one problem; it runs once."""
        if (check.name, index) not in self._found:
            self._found[check.name, index] = self._blocked(check, index) or self._try(check, index)
        return self._found[check.name, index]

    def _blocked(self, check: Check, index: int) -> Found | None:
        """Returns the result if a prerequisite failed: one error is reported once."""
        for prerequisite in PREREQUISITES:
            if prerequisite is check:
                return None
            status, reason = self._on_problem(prerequisite, index)
            if status == "failed":
                return "not-applicable", f"'{prerequisite.name}' fails."
            # An algorithm that cannot be constructed for a problem does not support it.
            if status == "not-applicable" and prerequisite is PREREQUISITES[0]:
                return status, reason
        return None

    def _try(self, check: Check, index: int) -> Found:
        types = [torch.float64, torch.float32] if check.precision == "double" else [torch.float32]
        for dtype in types:
            # Shared by all checks, so that an algorithm is trained once per problem and type.
            subject = self._subjects.setdefault(
                (index, dtype),
                Subject(self.cls, self.problems[index], self.hyperparameters, dtype),
            )
            try:
                with subject.environment():
                    check.run(subject)
            except NotApplicable as error:
                return "not-applicable", error.message
            except CheckFailed as error:
                return "failed", str(error)
            # SystemExit: a plugin may call sys.exit, which must not end the run.
            except (Exception, SystemExit) as error:
                # A method may not run in float64; the error counts only if float32 fails too.
                if dtype is types[-1]:
                    return "failed", describe_error(error)
                continue
            return "passed", ""
        raise AssertionError("no type to run in")


def check_algorithm(
    algorithm: type[Algorithm] | str,
    *,
    checks: Iterable[str] = (),
    hyperparameters: Mapping[str, Value] | None = None,
    problems: Sequence[Problem] = (),
) -> Report:
    """Check that an algorithm keeps its contract.

    Args:
        algorithm: The class, or the name of an installed algorithm.
        checks: Names or globs of checks; by default all.
        hyperparameters: Hyper-parameters that differ from their defaults.
        problems: Problems to test on; by default small classification and regression problems.

    Returns:
        The results; :meth:`Report.raise_for_failures` raises an error unless the algorithm passes.

    Raises:
        UnknownName: If there is no such algorithm or no such check.
        PluginError: If the plugin of the algorithm is broken.
        UsageError: If the class is not an algorithm.

    >>> from metabench.algorithms.nearest_mean import NearestMean
    >>> check_algorithm(NearestMean, checks=["label-order"]).ok
    True
    """
    cls = installed_algorithm(algorithm) if isinstance(algorithm, str) else algorithm
    return Kit(cls, hyperparameters=hyperparameters, problems=problems).report(checks)


def installed_algorithm(name: str) -> type[Algorithm]:
    """Returns the class of an installed algorithm.

    Raises:
        UnknownName: If there is no algorithm of this name.
        PluginError: If it cannot be imported, or is not an algorithm.
    """
    return algorithm_class(installed_plugins().registry.get("algorithm", name))


def _named(name: str) -> Check:
    return next((check for check in CHECKS if check.name == name), None) or _no_check(name)


def _no_check(name: str) -> NoReturn:
    raise UnknownName(
        "check",
        name,
        [check.name for check in CHECKS],
        hint=f"The checks are {', '.join(check.name for check in CHECKS)}.",
    )


def _summary(kinds: Sequence[str], found: Sequence[Found]) -> Found:
    """Combine the results on all problems: failed before passed before not applicable."""
    order: tuple[CheckStatus, ...] = ("failed", "passed", "not-applicable")
    status = next(s for s in order if any(candidate == s for candidate, _ in found))
    reasons = {
        kind: reason
        for kind, (candidate, reason) in zip(kinds, found, strict=True)
        if candidate == status
    }
    # The same reason on every problem is given once, without the kind of problem.
    if len(set(reasons.values())) == 1 and len(reasons) == len(found):
        return status, next(iter(reasons.values()))
    return status, " ".join(f"{kind}: {reason}" for kind, reason in reasons.items() if reason)
