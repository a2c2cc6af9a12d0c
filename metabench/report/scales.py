"""From numbers to places on a chart, and the numbers that stand at its ticks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from metabench.report.figure import Axis

_SUFFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_MOST_LOG_TICKS = 6


@dataclass(frozen=True)
class Scale:
    """A range of numbers laid over a range of places.

    Args:
        axis: how numbers are spaced.
        low: the number at ``start``.
        high: the number at ``end``.
        start: a place, in the units of the drawing.
        end: the other.
    """

    axis: Axis
    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """The place of a number."""
        low, high, here = (_spaced(self.axis, v) for v in (self.low, self.high, value))
        return self.start + (self.end - self.start) * (here - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """The numbers of the ticks, all within the range."""
        slack = 1e-9 * (self.high - self.low)
        return [t for t in self._candidates() if self.low - slack <= t <= self.high + slack]

    def _candidates(self) -> Iterable[float]:
        if self.axis.ticks:
            return self.axis.ticks
        if self.axis.scale == "log":
            return log_ticks(self.low, self.high)
        return round_ticks(self.low, self.high)


def scale_of(axis: Axis, values: Iterable[float], start: float, end: float) -> Scale:
    """A scale that holds all values, with a little air at both ends."""
    values = list(values)
    low, high = min(values), max(values)
    if axis.scale == "log":
        air = max(1.15, (high / low) ** 0.06)
        return Scale(axis, low / air, high * air, start, end)
    if axis.scale == "log1p":
        air = 0.04 * max(math.log1p(high) - math.log1p(low), 0.5)
        low, high = (math.expm1(math.log1p(v) + a) for v, a in ((low, -air), (high, air)))
        return Scale(axis, low, high, start, end)
    air = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return Scale(axis, low - air, high + air, start, end)


def round_ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Multiples of 1, 2 or 5 times a power of ten.

    >>> round_ticks(0.0, 1.0)
    [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / about))
    step = next(m * power for m in (1, 2, 5, 10) if (high - low) / (m * power) <= about + 0.5)
    first = math.ceil(low / step - 1e-9)
    return [float(f"{k * step:.12g}") for k in range(first, math.floor(high / step + 1e-9) + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten, with 2 and 5 times them where there are few.

    >>> log_ticks(0.9, 30)
    [1.0, 2.0, 5.0, 10.0, 20.0]
    """
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for multiples in ((1, 2, 5), (1,)):
        ticks = [m * 10.0**p for p in powers for m in multiples if low <= m * 10.0**p <= high]
        if len(ticks) <= _MOST_LOG_TICKS:
            break
    step = math.ceil(len(ticks) / _MOST_LOG_TICKS)
    return ticks[::step] if len(ticks) > 1 else round_ticks(low, high)


def tick_text(value: float, *, percent: bool = False) -> str:
    """A tick's number, short.

    >>> tick_text(0.25, percent=True), tick_text(48000), tick_text(0.5)
    ('25', '48k', '0.5')
    """
    if percent:
        value *= 100
    for size, suffix in _SUFFIXES:
        if abs(value) >= size:
            return f"{value / size:.4g}{suffix}"
    return f"{value:.4g}"


def _spaced(axis: Axis, value: float) -> float:
    match axis.scale:
        case "log":
            return math.log(value)
        case "log1p":
            return math.log1p(value)
        case _:
            return value
