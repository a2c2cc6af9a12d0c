"""The conformance kit: named checks of whether an algorithm keeps its contract.

::

    from metabench.testing import check_algorithm

    def test_it_keeps_the_contract():
        check_algorithm(MyAlgorithm).raise_for_failures()

``metabench check NAME`` does the same on the command line, and
``pytest --metabench-algorithm=NAME`` adds one test per check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metabench.utils.lazy import lazy_names

# Imported on first use: the entry point `pytest11` loads this package in every run of pytest.
_HOME = {
    "CheckFailed": "metabench.testing.check",
    "CheckResult": "metabench.testing.report",
    "ConformanceError": "metabench.testing.report",
    "Kit": "metabench.testing.kit",
    "Report": "metabench.testing.report",
    "check_algorithm": "metabench.testing.kit",
}

__getattr__ = lazy_names(__name__, _HOME)

__all__ = sorted(_HOME)  # noqa: PLE0604, RUF100

if TYPE_CHECKING:
    from metabench.testing.check import CheckFailed as CheckFailed
    from metabench.testing.kit import Kit as Kit
    from metabench.testing.kit import check_algorithm as check_algorithm
    from metabench.testing.report import CheckResult as CheckResult
    from metabench.testing.report import ConformanceError as ConformanceError
    from metabench.testing.report import Report as Report


def __dir__() -> list[str]:
    return __all__
