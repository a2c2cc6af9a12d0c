"""Charts of adaptation: the score against inner steps, and against shots."""

from __future__ import annotations

from metabench.report.charts.common import BAND_OF_SEEDS, curves, score_axis, series_of
from metabench.report.curves import adaptation_curve, shots_curve
from metabench.report.facts import Section
from metabench.report.figure import Axis, Figure


def adaptation(section: Section) -> Figure | None:
    """The score after so many inner steps; a method that adapts in one pass is one point."""
    steps = sorted({p.x for s in series_of(section, adaptation_curve) for p in s.points})
    return curves(
        section,
        "adaptation",
        adaptation_curve,
        Axis("inner steps", "log1p", ticks=tuple(steps)),
        score_axis(section),
        title="Adaptation: score against inner steps",
        caption="A band is the 95 % interval over the episodes. What adapts in one pass is one point.",
    )


def shots(section: Section) -> Figure | None:
    """The score with so many shots, on the same queries."""
    counts = sorted({p.x for s in series_of(section, shots_curve) for p in s.points})
    return curves(
        section,
        "shots",
        shots_curve,
        Axis(
            "shots of each class" if section.benchmark.ways else "shots", "log", ticks=tuple(counts)
        ),
        score_axis(section),
        title="Adaptation: score against shots",
        caption=f"The same queries at every number of shots. {BAND_OF_SEEDS}",
    )
