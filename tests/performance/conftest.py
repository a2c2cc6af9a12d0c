"""What the comparisons share: peers that import, and the way to time two sides against each other."""

import os
import sys
import time
import types
import warnings
from collections.abc import Callable

import pytest
import torch

from metabench.memory import keep_freed_memory

Draw = Callable[[], int]
"""Does some work, and says how much."""


@pytest.fixture(scope="session", autouse=True)
def _as_in_a_cell() -> None:
    """Memory as in every cell that metabench runs, and the machine's threads; the peers have both too."""
    keep_freed_memory()
    torch.set_num_threads(os.cpu_count() or 1)


@pytest.fixture(scope="session")
def l2l() -> types.ModuleType:
    """learn2learn, or a skip where it is not installed."""
    # The published torchvision is linked to CUDA and does not register its operators on a CPU build of torch;
    # nothing here needs them.
    sys.modules.setdefault(
        "torchvision._meta_registrations", types.ModuleType("torchvision._meta_registrations")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(
            "learn2learn", reason="learn2learn is not installed: see tests/performance/requirements.txt"
        )


@pytest.fixture
def race(benchmark, request) -> Callable[..., float]:  # type: ignore[no-untyped-def]
    """Times two ways of doing the same, turn and turn about, and says how many times as fast the first is.

    Each is judged by its best round, the one that other work on the machine disturbed least. The benchmark's
    own table shows the first; the rates of both and the number of threads stand in its extra information.
    """

    def run(ours: Draw, peer: Draw, *, rounds: int = 200, unit: str = "episodes") -> float:
        def timed(draw: Draw) -> float:
            start = time.perf_counter()
            done = draw()
            return done / (time.perf_counter() - start)

        rates: dict[str, list[float]] = {"metabench": [], "peer": []}
        benchmark.pedantic(
            lambda: rates["metabench"].append(timed(ours)),
            setup=lambda: rates["peer"].append(timed(peer)),
            rounds=rounds,
            warmup_rounds=2,
        )
        best = {name: max(rate) for name, rate in rates.items()}
        ratio = best["metabench"] / best["peer"]
        benchmark.extra_info.update(
            {f"{name}: {unit}/s": round(rate) for name, rate in best.items()}
            | {"ratio": round(ratio, 1), "threads": torch.get_num_threads()}
        )
        return ratio

    return run
