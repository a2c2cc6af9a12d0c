"""Charts of robustness: against severity, flipped labels, and the radius of an attack."""

from __future__ import annotations

from metabench.report.charts.common import BAND_OF_SEEDS, curves, score_axis
from metabench.report.curves import flips_curve, radius_curve, severity_curve
from metabench.report.facts import Section
from metabench.report.figure import Axis, Figure


def corruptions(section: Section) -> Figure | None:
    """The score against the severity of corruptions of the queries."""
    return curves(
        section,
        "corruptions",
        severity_curve,
        Axis("severity", ticks=(0, 1, 2, 3, 4, 5)),
        score_axis(section),
        title="Robustness: score against the severity of corruptions",
        caption=f"The mean over all kinds of corruption of the queries; 0 is clean. {BAND_OF_SEEDS}",
    )


def label_noise(section: Section) -> Figure | None:
    """The score against the share of support labels that are wrong."""
    return curves(
        section,
        "label-noise",
        flips_curve,
        Axis("flipped support labels (%)", percent=True),
        score_axis(section),
        title="Robustness: score against wrong support labels",
        caption=f"Labels are flipped within the classes of the episode; 0 is clean. {BAND_OF_SEEDS}",
    )


def attacks(section: Section) -> Figure | None:
    """The score against the radius of the attack on the queries."""
    return curves(
        section,
        "attacks",
        radius_curve,
        Axis("radius of the attack (L-inf)"),
        score_axis(section),
        title="Robustness: score against the radius of an attack",
        caption=(
            "PGD in an L-inf ball, or the Square attack where no gradient reaches the input; 0 is clean. "
            + BAND_OF_SEEDS
        ),
    )
