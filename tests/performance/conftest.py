"""Fixtures: importable peers, the number of threads, and the comparison."""

import os
import types
import warnings
from collections.abc import Iterator

import pytest
import torch

from metabench.runtime.memory import keep_freed_memory
from tests.helpers.threads import torch_threads
from tests.performance.comparison import Comparison
from tests.performance.machine import bench_threads
from tests.performance.outer_steps import make_learn2learn_importable

FOLDER = "METABENCH_PERFORMANCE"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--performance-to",
        default=os.environ.get(FOLDER),
        metavar="DIR",
        help=f"write what is measured to DIR/<machine>.json and .md (or {FOLDER} names it)",
    )


@pytest.fixture(scope="session", autouse=True)
def _as_in_a_cell() -> Iterator[None]:
    """Set memory and threads as in a cell, for metabench and for the peers.

    As in a cell, metabench shares outer steps among as many processes if that is faster.
    """
    keep_freed_memory()
    torch.set_num_threads(bench_threads())
    with torch_threads(bench_threads()):
        yield


@pytest.fixture(scope="session")
def l2l() -> types.ModuleType:
    """Returns learn2learn; skips the test if it is not installed."""
    make_learn2learn_importable()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "learn2learn",
            reason="learn2learn is not installed: see tests/performance/requirements.txt",
        )


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Use one thread and one process."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch_threads(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture
def comparison(request: pytest.FixtureRequest) -> Comparison:
    """See :class:`Comparison`."""
    return Comparison(request)
