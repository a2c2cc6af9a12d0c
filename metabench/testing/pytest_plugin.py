"""``pytest --metabench-algorithm=NAME``: one test per algorithm and check.

The entry point ``pytest11`` loads this module in every run of pytest, so it imports nothing slow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from metabench.testing.kit import Kit

OPTION = "--metabench-algorithm"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("metabench").addoption(
        OPTION,
        action="append",
        default=[],
        metavar="NAME",
        help="Check that an installed algorithm keeps the contract of metabench; a name or a glob, "
        "repeatable.",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m select
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add one item per algorithm and check."""
    names = config.getoption(OPTION)
    if not names:
        return
    # Here and not at the top, because they import torch.
    from metabench.errors import MetabenchError
    from metabench.plugins import installed_plugins

    try:
        chosen = installed_plugins().registry.match("algorithm", names)
        root = _Root.from_parent(session, name="metabench", nodeid="metabench")
        for name in chosen:
            items.extend(_Algorithm.from_parent(root, name=name).collect())
    except MetabenchError as error:
        raise pytest.UsageError(str(error)) from error


class _Root(pytest.Collector):
    """The parent of all algorithms; it has no file."""

    def collect(self) -> list[pytest.Item]:
        return []


class _Algorithm(pytest.Collector):
    """One algorithm, whose checks share the trained model."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        from metabench.testing.kit import installed_algorithm

        self.cls = installed_algorithm(self.name)
        self._kit: Kit | None = None

    @property
    def kit(self) -> Kit:
        """The kit, constructed when the first check runs."""
        if self._kit is None:
            from metabench.testing.kit import Kit

            self._kit = Kit(self.cls)
        return self._kit

    def collect(self) -> list[pytest.Item]:
        """Returns one item per check."""
        from metabench.testing.checks import CHECKS

        return [CheckItem.from_parent(self, name=check.name) for check in CHECKS]


class CheckItem(pytest.Item):
    """One check of one algorithm, as a test."""

    parent: _Algorithm

    def runtest(self) -> None:
        """Run the check; a check that does not apply is skipped."""
        from metabench.testing.report import ConformanceError

        result = self.parent.kit.run(self.name)
        if result.status == "not-applicable":
            pytest.skip(result.reason)
        if result.status == "failed":
            raise ConformanceError(
                f"{self.parent.name}, {self.name}: {result.reason}\nclaim: {result.claim}"
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *arguments: Any) -> Any:
        """Returns the reason without the traceback, which would show the kit's code."""
        from metabench.testing.report import ConformanceError

        if isinstance(excinfo.value, ConformanceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *arguments)

    def reportinfo(self) -> tuple[str, None, str]:
        """Returns the name of the test; it has no file and no line."""
        return "metabench", None, f"{self.parent.name}::{self.name}"
