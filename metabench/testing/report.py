"""What the kit found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Outcome = Literal["passed", "failed", "not-applicable"]


class ConformanceError(AssertionError):
    """An algorithm that does not pass the kit; the message is the report."""


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes:
        name: the check.
        claim: what it claims, in a sentence.
        status: ``passed``, ``failed`` or ``not-applicable``.
        reason: why it failed or says nothing here; empty where it passed.
        seconds: how long it took.
    """

    name: str
    claim: str
    status: Outcome
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """What the kit found of one algorithm.

    Attributes:
        algorithm: its name.
        results: one for each check, in the order that they ran in.
    """

    algorithm: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> int:
        """How many checks passed."""
        return self._count("passed")

    @property
    def failed(self) -> int:
        """How many checks failed."""
        return self._count("failed")

    @property
    def not_applicable(self) -> int:
        """How many checks say nothing about this algorithm."""
        return self._count("not-applicable")

    @property
    def ok(self) -> bool:
        """Whether none failed and at least one passed: a kit that checked nothing has shown nothing."""
        return not self.failed and self.passed > 0

    def raise_for_failures(self) -> None:
        """Raise ConformanceError, with the report as its message, unless the algorithm passes."""
        if not self.ok:
            raise ConformanceError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON can hold it."""
        counts = {
            "passed": self.passed,
            "failed": self.failed,
            "not_applicable": self.not_applicable,
        }
        return {
            "algorithm": self.algorithm,
            "ok": self.ok,
            **counts,
            "checks": [asdict(result) for result in self.results],
        }

    def __str__(self) -> str:
        lines = [
            f"{self.algorithm}: {self.passed} passed, {self.failed} failed, "
            f"{self.not_applicable} not applicable"
        ]
        if not self.passed and not self.failed:
            lines[0] += "; no check ran, which is a failure"
        width = max((len(result.name) for result in self.results), default=0)
        for result in self.results:
            mark = {"passed": "ok", "failed": "FAILED", "not-applicable": "n/a"}[result.status]
            lines.append(f"  {mark:6}  {result.name:{width}}  {result.reason}".rstrip())
            if result.status == "failed":
                lines.append(f"  {'':6}  {'':{width}}  claim: {result.claim}")
        return "\n".join(lines)

    def _count(self, status: Outcome) -> int:
        return sum(result.status == status for result in self.results)
