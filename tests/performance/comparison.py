"""Interleaved timing of the sides of a row, and the figure that compares them."""

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
        """Returns ``wanted``, or ``METABENCH_BENCH_ROUNDS`` if it is set."""
        return int(os.environ.get("METABENCH_BENCH_ROUNDS") or wanted)

    def interleave(
        self, ours: Side, others: Mapping[str, Side], *, rounds: int, warmup: int = 1
    ) -> dict[str, Timing]:
        """Time all sides in each round; the order of the others rotates.

        The table of pytest-benchmark shows the side ``metabench``.
        """
        seconds: dict[str, list[float]] = {name: [] for name in ("metabench", *others)}
        round_index = 0

        def time_others() -> None:
            nonlocal round_index
            names = list(others)
            first = round_index % max(1, len(names))
            for name in names[first:] + names[:first]:
                seconds[name].append(timed(others[name]))
            round_index += 1

        # Not an argument of the constructor: an unused benchmark fixture is a warning.
        benchmark = self._request.getfixturevalue("benchmark")
        benchmark.pedantic(
            lambda: seconds["metabench"].append(timed(ours)),
            setup=time_others,
            rounds=self.rounds(rounds),
            warmup_rounds=warmup,
        )
        return {name: Timing.of(measured[warmup:]) for name, measured in seconds.items()}

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
            name: The name of the row.
            ours: A round of metabench.
            peers: A round of each peer.
            rounds: The number of rounds.
            unit: The unit that the sides count.
            beside: Sides that are timed and shown, but not compared with.
            warmup: Rounds before the measured ones.
            device: The device of all sides.
            row: Other fields of the figure.
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
        """Add machine, versions and date to a figure, and store it if a folder was given."""
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
        """Draw the figures of this machine next to their file, if a folder was given."""
        if self._folder is not None:
            path = self._folder / f"{slug()}.json"
            draw(load(path), path.with_suffix(".svg"))
