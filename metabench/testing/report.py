"""Results of the checks, as text and as JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

CheckStatus = Literal["passed", "failed", "not-applicable"]


class ConformanceError(AssertionError):
    """Raised for an algorithm that does not pass; the message is the report."""


@dataclass(frozen=True)
class CheckResult:
    """Result of one check.

    Attributes:
        name: Name of the check.
        claim: Its claim, in a sentence.
        status: ``passed``, ``failed`` or ``not-applicable``.
        reason: Why it failed or does not apply; empty if it passed.
        seconds: Duration.
    """

    name: str
    claim: str
    status: CheckStatus
    reason: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Report:
    """Results of all checks of one algorithm.

    Attributes:
        algorithm: Name of the algorithm.
        results: One result per check, in the order in which they ran.
    """

    algorithm: str
    results: tuple[CheckResult, ...]

    @property
    def passed(self) -> int:
        """Number of checks that passed."""
        return self._count("passed")

    @property
    def failed(self) -> int:
        """Number of checks that failed."""
        return self._count("failed")

    @property
    def not_applicable(self) -> int:
        """Number of checks that do not apply."""
        return self._count("not-applicable")

    @property
    def ok(self) -> bool:
        """Whether no check failed and at least one passed."""
        # Without a check that passed, nothing was tested.
        return not self.failed and self.passed > 0

    def raise_for_failures(self) -> None:
        """Raise an error unless the algorithm passes.

        Raises:
            ConformanceError: If a check failed or none passed; the message is the report.
        """
        if not self.ok:
            raise ConformanceError(str(self))

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values for JSON."""
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

    def _count(self, status: CheckStatus) -> int:
        return sum(result.status == status for result in self.results)
