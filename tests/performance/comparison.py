"""The comparison of the sides of a row: interleaved timing, the figure, and its bar."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.performance import page
from tests.performance.figures import Figure, load, store
from tests.performance.machine import ceilings, facts, rates, slug, versions
from tests.performance.sides import Side, Timing, timed

CPU = torch.device("cpu")


class Comparison:
    """Times the sides of one row in interleaved rounds and stores the figure."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        to = request.config.getoption("--performance-to")
        self._folder = Path(to) if to else None
        self._request = request

    def rounds(self, wanted: int) -> int:
        """Returns the wanted number of rounds, or ``METABENCH_BENCH_ROUNDS`` if it is set."""
        return int(os.environ.get("METABENCH_BENCH_ROUNDS") or wanted)

    def interleave(
        self, ours: Side, others: Mapping[str, Side], *, rounds: int, warmup: int = 1
    ) -> dict[str, Timing]:
        """Time all sides in each round, beginning with another side each time.

        The side ``metabench`` is the one that the table of pytest-benchmark shows.
        """
        seconds: dict[str, list[float]] = {name: [] for name in ("metabench", *others)}
        round_index = 0

        def the_others() -> None:
            nonlocal round_index
            names = list(others)
            first = round_index % max(1, len(names))
            for name in names[first:] + names[:first]:
                seconds[name].append(timed(others[name]))
            round_index += 1

        benchmark = self._request.getfixturevalue(
            "benchmark"
        )  # an unused benchmark fixture is a warning
        benchmark.pedantic(
            lambda: seconds["metabench"].append(timed(ours)),
            setup=the_others,
            rounds=self.rounds(rounds),
            warmup_rounds=warmup,
        )
        return {name: Timing.of(took[warmup:]) for name, took in seconds.items()}

    def against_peers(
        self,
        name: str,
        ours: Side,
        peers: Mapping[str, Side],
        *,
        rounds: int,
        unit: str,
        beside: Mapping[str, Side] | None = None,
        warmup: int = 1,
        device: torch.device = CPU,
        **row: Any,
    ) -> Figure:
        """Time metabench against its peers; the figure is the ratio to the fastest, by the medians.

        Args:
            name: the row's.
            ours: one round of ours.
            peers: one round of each peer.
            rounds: how many.
            unit: what the sides count.
            beside: sides that are timed with them and not compared with.
            warmup: rounds before.
            device: where it runs.
            row: what else the figure has.
        """
        beside = beside or {}
        timings = self.interleave(ours, {**peers, **beside}, rounds=rounds, warmup=warmup)
        fastest = min(peers, key=lambda peer: timings[peer].median)
        shown = rates(timings)
        figure = Figure(
            name=name,
            value=timings[fastest].median / timings["metabench"].median,
            peer=fastest,
            rounds=self.rounds(rounds),
            rate_unit=f"{unit}/s",
            sides={side: rate for side, rate in shown.items() if side not in beside},
            beside={side: rate for side, rate in shown.items() if side in beside},
            **row,
        )
        return self.write(figure, device)

    def write(self, figure: Figure, device: torch.device = CPU) -> Figure:
        """Add the machine, versions and date to a figure, and store it if a folder was chosen."""
        figure.value = float(f"{figure.value:.4g}")
        figure.threads = torch.get_num_threads()
        figure.measured = datetime.datetime.now(datetime.UTC).date().isoformat()
        figure.versions = versions()
        figure.environment = facts(device) | ceilings()
        print(f"\n{figure}")
        if self._folder is not None:
            path = self._folder / f"{slug(device)}.json"
            store(figure, path)
            page.write(path)
        return figure

    def draw(self, draw: Callable[[Mapping[str, Figure], Path], None]) -> None:
        """Draw the figures of this machine beside their file, if a folder was chosen."""
        if self._folder is not None:
            path = self._folder / f"{slug()}.json"
            draw(load(path), path.with_suffix(".svg"))
