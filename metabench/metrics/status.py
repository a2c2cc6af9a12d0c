"""What can become of a metric; apart from the metrics themselves, so that a record is read without torch."""

from __future__ import annotations

from typing import Literal

MetricStatus = Literal["ok", "n/a", "failed", "out-of-memory"]
"""``n/a``: the metric does not fit the method or the benchmark, and the reason says why."""
