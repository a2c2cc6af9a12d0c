"""The plot of milliseconds and memory of an outer step against its size."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.performance.figures import Figure


def draw(figures: Mapping[str, Figure], path: Path) -> None:
    """Draw the growth of cost, one column for each axis, on doubly logarithmic axes.

    Args:
        figures: The figures of a machine.
        path: The SVG file.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [figure for figure in figures.values() if figure.name.endswith("-cost")]
    axes_of = sorted({figure.name for figure in rows})
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "growth", "font.size": 8}):
        picture, axes = plt.subplots(
            2, len(axes_of), figsize=(2.4 * len(axes_of), 3.6), squeeze=False
        )
        for column, name in enumerate(axes_of):
            for figure in (figure for figure in rows if figure.name == name):
                label = f"{figure.threads} thread" + ("s" if figure.threads > 1 else "")
                for line, key in enumerate(("milliseconds", "mb")):
                    axes[line][column].plot(
                        figure.extra["sizes"], figure.extra[key], "o-", ms=3, label=label
                    )
            for line in range(2):
                axes[line][column].set(xscale="log", yscale="log")
            axes[1][column].set_xlabel(name.split("-")[1])
        axes[0][0].set_ylabel("ms an outer step")
        axes[1][0].set_ylabel("MiB")
        axes[0][0].legend(fontsize=7)
        picture.tight_layout()
        picture.savefig(path, metadata={"Date": None})
        plt.close(picture)
