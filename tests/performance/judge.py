"""A judge who times the sides of a row, compares them, writes the figure down and says whether it is met."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.performance import page
from tests.performance.contest import Side, Timing, timed
from tests.performance.figures import Figure, load, store
from tests.performance.machine import ceilings, facts, rates, slug, versions

CPU = torch.device("cpu")


class Judge:
    """Times the sides of one row turn and turn about, writes the figure down, and says whether it is met."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        to = request.config.getoption("--performance-to")
        self._folder = Path(to) if to else None
        self._request = request

    def rounds(self, wanted: int) -> int:
        """As many rounds as are wanted, or as ``METABENCH_BENCH_ROUNDS`` says, to see that it works."""
        return int(os.environ.get("METABENCH_BENCH_ROUNDS") or wanted)

    def race(
        self, ours: Side, others: Mapping[str, Side], *, rounds: int, warmup: int = 1
    ) -> dict[str, Timing]:
        """Time ours and the others in turn, each round beginning with another; ``metabench`` is ours.

        The benchmark's own table shows ours.
        """
        seconds: dict[str, list[float]] = {name: [] for name in ("metabench", *others)}
        turns = 0

        def the_others() -> None:
            nonlocal turns
            names = list(others)
            first = turns % max(1, len(names))
            for name in names[first:] + names[:first]:
                seconds[name].append(timed(others[name]))
            turns += 1

        benchmark = self._request.getfixturevalue("benchmark")  # one that is asked for must be used
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
        """A row that says how many times as fast as the fastest peer ours is, by the medians.

        Args:
            name: the row's.
            ours: one round of ours.
            peers: one round of each peer.
            rounds: how many.
            unit: what the sides count.
            beside: what is timed with them and not judged by.
            warmup: rounds before.
            device: where it runs.
            row: what else the figure has.
        """
        beside = beside or {}
        timings = self.race(ours, {**peers, **beside}, rounds=rounds, warmup=warmup)
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
        """Complete a figure by machine, versions and day, and put it where results are wanted."""
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
        """Let somebody draw the figures of this machine beside them, where they are written."""
        if self._folder is not None:
            path = self._folder / f"{slug()}.json"
            draw(load(path), path.with_suffix(".svg"))
