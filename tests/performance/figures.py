"""The measurements, one figure for each row of the table, stored in one JSON file for each machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1


@dataclass
class Figure:
    """One row.

    Args:
        name: what it is called in the file; one name measured with other threads is another row.
        what: what was measured, in words.
        setting: the sizes.
        value: what is held against the bar: times as fast as the fastest peer, or what ``unit`` says.
        bar: what it must reach.
        sense: whether it must be at least or at most that.
        unit: the unit of value and bar.
        threads: threads of PyTorch.
        rounds: how often each side was timed.
        peer: the fastest peer, which the value is against; empty where there is none.
        rate_unit: the unit of the rates of the sides.
        sides: median and quartiles of every side's rate, by name.
        beside: rates of sides that are shown and not compared with.
        extra: other facts of the row: share of the ceiling, FLOPs, memory.
        note: what a reader must know.
        measured: the day.
        versions: of every library that took part.
        environment: the machine and the code.
    """

    name: str
    what: str
    setting: str
    value: float
    bar: float
    sense: Literal["at least", "at most"] = "at least"
    unit: str = "x"
    threads: int = 1
    rounds: int = 1
    peer: str = ""
    rate_unit: str = ""
    sides: dict[str, dict[str, float]] = field(default_factory=dict)
    beside: dict[str, dict[str, float]] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    measured: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    environment: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Returns whether the bar is reached."""
        return self.value >= self.bar if self.sense == "at least" else self.value <= self.bar

    @property
    def key(self) -> str:
        """Returns the key of the figure in its file."""
        return f"{self.name}, {self.threads} thread" + ("s" if self.threads > 1 else "")

    def __str__(self) -> str:
        peer = f" against {self.peer}" if self.peer else ""
        verdict = "met" if self.met else "MISSED"
        return (
            f"{self.key}: {self.value:.3g} {self.unit}{peer}; {self.sense} {self.bar:g}: {verdict}"
        )


def load(path: Path) -> dict[str, Figure]:
    """Returns the figures of a file by key; none if the file does not exist."""
    if not path.exists():
        return {}
    rows: Mapping[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["rows"]
    figures = {}
    for key, row in rows.items():
        row.pop("met")
        figures[key] = Figure(**row)
    return figures


def store(figure: Figure, path: Path) -> None:
    """Store a figure in a file, replacing an earlier one with the same key."""
    figures = load(path) | {figure.key: figure}
    rows = {key: asdict(figures[key]) | {"met": figures[key].met} for key in sorted(figures)}
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"schema": SCHEMA, "rows": rows}, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")
