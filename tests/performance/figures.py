"""The measurements: a figure for each row of the table, and a JSON file for each machine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

SCHEMA = 1


@dataclass
class Figure:
    """A measurement, which is a row of the table.

    Args:
        name: The name in the file; the number of threads is a part of the key.
        what: What is measured, in words.
        setting: The sizes.
        value: The measured value in ``unit``, such as the speed relative to the fastest peer.
        bar: The bound on the value.
        sense: Whether the bound is a lower or an upper one.
        unit: The unit of the value and the bound.
        threads: Threads of PyTorch.
        rounds: How often each side is timed.
        peer: The fastest peer, to which the value is relative; empty if there is none.
        rate_unit: The unit of the rates of the sides.
        sides: Median and quartiles of the rate of every side, by name.
        beside: The rates of sides that are shown but not compared with.
        extra: Other facts, such as FLOPs and memory.
        note: A remark for the reader.
        measured: The date.
        versions: The versions of the compared libraries.
        environment: The machine and the code.
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
        """Returns whether the value satisfies the bound."""
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
