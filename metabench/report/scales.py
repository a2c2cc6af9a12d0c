"""Scales: from numbers to positions on a chart, with ticks at round numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from metabench.report.figure import Axis, ScaleKind

_SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_MOST_LOG_TICKS = 6
_LEAST_LABEL_DISTANCE = 0.07  # of the axis: labels of four digits touch below this


@dataclass(frozen=True)
class Scale:
    """The range of numbers that an axis covers.

    Attributes:
        axis: The axis.
        low: The number at its start.
        high: The number at its end.
    """

    axis: Axis
    low: float
    high: float

    def __call__(self, value: float) -> float:
        """Returns the position of a number: 0 at the start of the axis, 1 at its end."""
        low, high, here = (_spaced(self.axis.scale, v) for v in (self.low, self.high, value))
        return (here - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """The numbers at the ticks."""
        slack = 1e-9 * (self.high - self.low)  # rounding must not drop a tick at an end
        return [t for t in self._candidates() if self.low - slack <= t <= self.high + slack]

    @property
    def labels(self) -> list[str]:
        """The label of each tick; empty if it would overlap the label before it."""
        texts = []
        last = -math.inf
        for tick in self.ticks:
            position = self(tick)
            shown = position - last >= _LEAST_LABEL_DISTANCE
            texts.append(tick_text(tick, percent=self.axis.percent) if shown else "")
            last = position if shown else last
        return texts

    def _candidates(self) -> Iterable[float]:
        if self.axis.ticks:
            return self.axis.ticks
        if self.axis.scale == "log":
            return log_ticks(self.low, self.high)
        return round_ticks(self.low, self.high)


def scale_of(axis: Axis, values: Iterable[float]) -> Scale:
    """Returns a scale that covers all values, with a margin at both ends."""
    values = list(values)
    low, high = min(values), max(values)
    # The margins keep markers inside the axes.
    if axis.scale == "log":
        margin = max(1.15, (high / low) ** 0.06)
        return Scale(axis, low / margin, high * margin)
    if axis.scale == "log1p":
        margin = 0.04 * max(math.log1p(high) - math.log1p(low), 0.5)
        low, high = (math.expm1(math.log1p(v) + m) for v, m in ((low, -margin), (high, margin)))
        return Scale(axis, low, high)
    # Equal values have no range, and 0 has no magnitude either.
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(axis, low - margin, high + margin)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Returns multiples of 1, 2 or 5 times a power of ten, about as many as asked for.

    >>> round_ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= about + 0.5)
    first = math.ceil(low / step - 1e-9)  # 1.1 / 0.1 is 11.000000000000002
    # Through text: 3 * 0.2 is 0.6000000000000001.
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Returns powers of ten, with 2 and 5 times them if they are few.

    >>> log_ticks(0.9, 30)
    [1.0, 2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1, 2, 5), (1,)):
        ticks = [m * 10.0**p for p in powers for m in multiples if low <= m * 10.0**p <= high]
        if len(ticks) <= _MOST_LOG_TICKS:
            break
    step = math.ceil(len(ticks) / _MOST_LOG_TICKS)
    # A range within a factor of 2 may hold no power of ten at all.
    return ticks[::step] if len(ticks) > 1 else round_ticks(low, high)


def tick_text(value: float, *, percent: bool = False) -> str:
    """Returns the label of a tick.

    >>> tick_text(0.25, percent=True), tick_text(48000), tick_text(0.5)
    ('25', '48k', '0.5')
    """
    if percent:
        value *= 100
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


def _spaced(kind: ScaleKind, value: float) -> float:
    match kind:
        case "log":
            return math.log(value)
        case "log1p":
            return math.log1p(value)
        case _:
            return value
