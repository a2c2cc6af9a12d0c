"""Every page of a report, by its place in the folder."""

from __future__ import annotations

from collections.abc import Callable

from metabench.report.drawing import Look
from metabench.report.facts import Facts, Section
from metabench.report.html import render
from metabench.report.pictures import Picture
from metabench.report.view import overview, ranks, runs_of, section_view

Pictures = Callable[[Section], "list[Picture] | str"]


def pages_of(facts: Facts, pictures: Pictures) -> dict[str, str]:
    """The text of every page: the same bits from the same records.

    Args:
        facts: what is shown.
        pictures: the episodes of a benchmark as pictures, or why there are none.
    """
    pages = {
        "index.html": render(
            "index.html",
            facts=facts,
            views=[section_view(section, pictures(section)) for section in facts.sections],
            overview=overview(facts),
            ranks=ranks(facts),
        )
    }
    styles = facts.sections[0].styles if facts.sections else {}
    for label, name in facts.files.items():
        runs = runs_of(facts, label)
        if not runs:
            continue
        identity = runs[0].records[0].algorithm
        pages[f"algorithms/{name}"] = render(
            "algorithm.html", label=label, look=Look(styles[label]), runs=runs, identity=identity
        )
    return pages
