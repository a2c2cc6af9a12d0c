"""Running the checks."""

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
from metabench.testing.checks import CHECKS, ESSENTIAL
from metabench.testing.report import CheckResult, Outcome, Report
from metabench.testing.subject import Subject
from metabench.testing.world import small_problems

Found = tuple[Outcome, str]
"""What a check found on one problem, with the reason."""


class Kit:
    """The checks for one algorithm; each runs once, on every problem that the algorithm takes.

    Args:
        cls: the algorithm.
        hyperparameters: what is not to have its default, by name.
        problems: what it is tried on; by default small classification and regression problems. A check
            passes where it passes on one of them and fails on none.
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
            UnknownName: there is no such check.
        """
        check = _named(name)
        began = time.perf_counter()
        found = [self._on(check, place) for place in range(len(self.problems))]
        status, reason = _summary([p.kind for p in self.problems], found)
        return CheckResult(check.name, check.claim, status, reason, time.perf_counter() - began)

    def report(self, checks: Iterable[str] = ()) -> Report:
        """Run some checks, by default all.

        Args:
            checks: names or globs.

        Raises:
            UnknownName: one of them matches no check.
        """
        names = [check.name for check in CHECKS]
        chosen = (
            match_names("check", names, checks, _no_check) if (checks := tuple(checks)) else names
        )
        name = str(getattr(self.cls, "name", self.cls.__name__))
        return Report(name, tuple(self.run(check) for check in chosen))

    def _on(self, check: Check, place: int) -> Found:
        """What a check finds on one problem; a mistake that spoils everything is told once."""
        if (check.name, place) not in self._found:
            self._found[check.name, place] = self._blocked(check, place) or self._try(check, place)
        return self._found[check.name, place]

    def _blocked(self, check: Check, place: int) -> Found | None:
        for essential in ESSENTIAL:
            if essential is check:
                return None
            status, reason = self._on(essential, place)
            if status == "failed":
                return "not-applicable", f"'{essential.name}' fails."
            if status == "not-applicable" and essential is ESSENTIAL[0]:
                return status, reason
        return None

    def _try(self, check: Check, place: int) -> Found:
        types = [torch.float64, torch.float32] if check.precision == "double" else [torch.float32]
        for dtype in types:
            subject = self._subjects.setdefault(
                (place, dtype), Subject(self.cls, self.problems[place], self.hyperparameters, dtype)
            )
            try:
                with subject.at_work():
                    check.run(subject)
            except NotApplicable as error:
                return "not-applicable", error.message
            except CheckFailed as error:
                return "failed", str(error)
            except (Exception, SystemExit) as error:  # code of a plugin can do anything
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
    """Check that an algorithm keeps the contract.

    Args:
        algorithm: the class, or the name of an installed algorithm.
        checks: names or globs of checks; by default all.
        hyperparameters: what is not to have its default, by name.
        problems: what it is tried on; by default small classification and regression problems.

    Returns:
        What was found; :meth:`Report.raise_for_failures` makes it an error where a check failed or none ran.

    Raises:
        UnknownName: there is no such algorithm or no such check.
        PluginError: the plugin that brings the algorithm is broken.
        UsageError: the class is no algorithm.

    >>> from metabench.algorithms.nearest_mean import NearestMean
    >>> check_algorithm(NearestMean, checks=["label-order"]).ok
    True
    """
    cls = installed_algorithm(algorithm) if isinstance(algorithm, str) else algorithm
    return Kit(cls, hyperparameters=hyperparameters, problems=problems).report(checks)


def installed_algorithm(name: str) -> type[Algorithm]:
    """The class of an installed algorithm.

    Raises:
        UnknownName: there is none of this name.
        PluginError: it cannot be imported, or is no algorithm.
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
    """What was found on all problems in one line: a failure counts before a pass, a pass before neither."""
    order: tuple[Outcome, ...] = ("failed", "passed", "not-applicable")
    status = next(s for s in order if any(outcome == s for outcome, _ in found))
    reasons = {
        kind: reason
        for kind, (outcome, reason) in zip(kinds, found, strict=True)
        if outcome == status
    }
    if len(set(reasons.values())) == 1 and len(reasons) == len(found):
        return status, next(iter(reasons.values()))
    return status, " ".join(f"{kind}: {reason}" for kind, reason in reasons.items() if reason)
