"""The learning curve: meta-validation against the examples that meta-training drew."""

from __future__ import annotations

from metabench.report.charts.common import BAND_OF_SEEDS, curves
from metabench.report.curves import learning_curve
from metabench.report.facts import Section
from metabench.report.figure import Axis, Figure


def learning(section: Section) -> Figure | None:
    """The meta-validation score along meta-training."""
    return curves(
        section,
        "learning",
        learning_curve,
        Axis("examples drawn"),
        Axis(
            "validation accuracy (%)" if section.percent else f"validation {section.metric}",
            percent=section.percent,
        ),
        title="Learning: validation score against examples",
        caption=f"An algorithm that does not meta-train has no curve. {BAND_OF_SEEDS}",
    )
