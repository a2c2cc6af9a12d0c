"""``pytest --metabench-algorithm=NAME``: one test for each algorithm and check.

The entry point ``pytest11`` of metabench loads this module in every run of pytest, so it imports nothing of
weight, and without the option it does nothing.
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
        help="Check that an installed algorithm keeps the contract of metabench; a name or glob, repeatable.",
    )


@pytest.hookimpl(tryfirst=True)  # before -k and -m choose
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Add one item for each algorithm and check."""
    names = config.getoption(OPTION)
    if not names:
        return
    from metabench.errors import MetabenchError
    from metabench.plugins import installed_plugins

    try:
        chosen = installed_plugins().registry.match("algorithm", names)
        root = _Collector.from_parent(session, name="metabench", nodeid="metabench")
        for name in chosen:
            items.extend(_Algorithm.from_parent(root, name=name).collect())
    except MetabenchError as error:
        raise pytest.UsageError(str(error)) from error


class _Collector(pytest.Collector):
    def collect(self) -> list[pytest.Item]:
        return []


class _Algorithm(pytest.Collector):
    """One algorithm; its checks share what it was trained for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        from metabench.testing.kit import installed_algorithm

        self.cls = installed_algorithm(self.name)
        self._kit: Kit | None = None

    @property
    def kit(self) -> Kit:
        """The kit, made when the first check runs."""
        if self._kit is None:
            from metabench.testing.kit import Kit

            self._kit = Kit(self.cls)
        return self._kit

    def collect(self) -> list[pytest.Item]:
        """One item for each check."""
        from metabench.testing.checks import CHECKS

        return [CheckItem.from_parent(self, name=check.name) for check in CHECKS]


class CheckItem(pytest.Item):
    """One check of one algorithm, as a test: it passes, fails with the reason, or is skipped with it."""

    parent: _Algorithm

    def runtest(self) -> None:
        """Run the check."""
        from metabench.testing.report import ConformanceError

        result = self.parent.kit.run(self.name)
        if result.status == "not-applicable":
            pytest.skip(result.reason)
        if result.status == "failed":
            raise ConformanceError(
                f"{self.parent.name}, {self.name}: {result.reason}\nclaim: {result.claim}"
            )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *arguments: Any) -> Any:
        """The reason alone: the traceback would be that of the kit."""
        from metabench.testing.report import ConformanceError

        if isinstance(excinfo.value, ConformanceError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, *arguments)

    def reportinfo(self) -> tuple[str, None, str]:
        """Where the test stands: in no file."""
        return "metabench", None, f"{self.parent.name}::{self.name}"
