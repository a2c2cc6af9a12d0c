"""Simulations of the intervals and of ``metabench compare``: the figures of ``docs/statistics.md``.

``python -m tests.helpers.simulations`` writes the numbers into the page and draws its figure.
"""

import functools
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from metabench.report.styles import COLOURS
from metabench.stats import class_interval, t_interval
from tests.helpers import retraining
from tests.helpers.retraining import DROPS, rates

DOCS = Path(__file__).parents[2] / "docs"
QUERIES, EPISODES = 75, 600
ACCURACIES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
DRAWN = ((3, 3), (3, 7), (7, 7))
"""The numbers of seeds in the figure."""
LENGTHS = (50, 150, 600, 2400)
TRUTH = 0.75

Table = tuple[list[str], list[list[str]]]
"""The heading and the rows of a table of the page."""


def episode_scores(rng: np.random.Generator, accuracy: float, shape: tuple[int, ...]) -> np.ndarray:
    """Returns accuracies in episodes of varying difficulty."""
    difficulty = rng.beta(30 * accuracy, 30 * (1 - accuracy), size=shape)
    return rng.binomial(QUERIES, difficulty) / QUERIES


def class_episodes(
    rng: np.random.Generator,
    *,
    classes: int,
    episodes: int,
    spread: float,
    ways: int = 5,
    queries: int = 15,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the classes and hits of episodes whose classes differ in difficulty.

    A class is easy or hard for its own queries, and makes those of others easier or harder.
    """
    easy, unlike = rng.normal(0, spread, classes), rng.normal(0, spread, classes)
    shown = np.argsort(rng.random((episodes, classes)), axis=1)[:, :ways]
    others = (unlike[shown].sum(1, keepdims=True) - unlike[shown]) / (ways - 1)
    return shown, rng.binomial(queries, np.clip(TRUTH + easy[shown] + others, 0, 1))


def accuracies(
    rng: np.random.Generator,
    mean: float,
    *,
    drop: float = 0.0,
    shape: tuple[int, ...] = (EPISODES,),
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the accuracies of two models on the same episodes, with shared difficulties."""
    difficulty = rng.beta(20 * mean, 20 * (1 - mean), size=shape)
    base, new = (difficulty + rng.normal(-loss, 0.03, size=shape) for loss in (0.0, drop))
    scores = rng.binomial(QUERIES, np.clip([base, new], 0, 1)) / QUERIES
    return scores[0], scores[1]


@cache
def coverage(accuracy: float, *, intervals: int = 2500) -> float:
    """Returns the share of 95 % intervals over the episodes that cover the true accuracy."""
    scores = episode_scores(np.random.default_rng(1), accuracy, (intervals, EPISODES))
    found = [t_interval(row) for row in scores]
    return float(np.mean([abs(mean - accuracy) <= half_width for mean, half_width in found]))


@cache
def coverage_of_new_classes(episodes: int, *, pools: int = 200) -> tuple[float, float]:
    """Returns the coverage of the accuracy over all classes by both kinds of interval.

    The episodes show 40 classes; the intervals are over the classes, and over the episodes.
    """
    rng = np.random.default_rng(2)
    by_class, by_episode = [], []
    for _ in range(pools):
        shown, hits = class_episodes(rng, classes=40, episodes=episodes, spread=0.06)
        interval = class_interval(shown, hits, queries=15)
        by_class.append(interval.low <= TRUTH <= interval.high)
        mean, half_width = t_interval(hits.mean(1) / 15)
        by_episode.append(abs(mean - TRUTH) <= half_width)
    return float(np.mean(by_class)), float(np.mean(by_episode))


def table_of_coverage() -> Table:
    """Returns the coverage of the intervals over episodes by accuracy."""
    percent = [f"{100 * coverage(a):.1f} %" for a in ACCURACIES]
    return ["accuracy", *map(str, ACCURACIES)], [["coverage", *percent]]


def table_of_new_classes() -> Table:
    """Returns the coverage of the intervals for new classes by number of episodes."""
    new = {n: coverage_of_new_classes(n) for n in LENGTHS}
    rows = [
        ["over the classes", *(f"{100 * new[n][0]:.1f} %" for n in LENGTHS)],
        ["over the episodes", *(f"{100 * new[n][1]:.1f} %" for n in LENGTHS)],
    ]
    return ["episodes", *map(str, LENGTHS)], rows


TABLES: dict[str, Callable[[], Table]] = {
    "coverage": table_of_coverage,
    "new classes": table_of_new_classes,
    "noise": retraining.table_of_noise,
    "false alarms": retraining.table_of_alarms,
    "power": functools.partial(retraining.table_of_verdicts, "worse"),
    "equivalence": functools.partial(retraining.table_of_verdicts, "equivalent"),
}
"""The tables of the page by name: each function returns a heading and rows."""


def _markdown(heading: list[str], rows: list[list[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(page: str) -> str:
    """Returns the page with new tables between its markers."""
    places = {name: f"<!-- {name} -->\n.*?\n<!-- end -->" for name in TABLES}
    for name, place in places.items():  # before the simulations, which take minutes
        found = len(re.findall(place, page, flags=re.S))
        if found != 1:
            raise ValueError(f"the page has {found} places for the table '{name}'")
    for name, place in places.items():
        table = f"<!-- {name} -->\n{_markdown(*TABLES[name]())}\n<!-- end -->"
        page = re.sub(place, table, page, flags=re.S)
    return page


def draw(folder: Path) -> None:
    """Draw the figure as SVG; the same numbers give the same bytes."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    blue, orange, green = (light for light, _ in COLOURS[:3])
    mpl.rcParams |= {
        "svg.hashsalt": "metabench",
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    left, middle, right = figure.subplots(1, 3)
    left.axhspan(93.5, 96.5, color="#dddddd", label="93.5 to 96.5 %")
    left.axhline(95, color="black", linewidth=0.8)
    left.plot(
        ACCURACIES,
        [100 * coverage(a) for a in ACCURACIES],
        "o-",
        color=blue,
        label="95 % t-interval",
    )
    left.set(
        title="coverage of the accuracy", xlabel="accuracy", ylabel="intervals, %", ylim=(90, 100)
    )
    new = [coverage_of_new_classes(n) for n in LENGTHS]
    middle.axhline(95, color="black", linewidth=0.8)
    middle.plot(LENGTHS, [100 * c for c, _ in new], "o-", color=blue, label="over the classes")
    middle.plot(LENGTHS, [100 * e for _, e in new], "s--", color=orange, label="over the episodes")
    middle.set(
        title="coverage for new classes",
        xlabel="episodes of 40 classes",
        xscale="log",
        ylim=(0, 100),
    )
    middle.set_xticks(LENGTHS, map(str, LENGTHS))
    middle.minorticks_off()
    for seeds, marker, colour in zip(
        DRAWN, ("o-", "s--", "^:"), (blue, orange, green), strict=True
    ):
        right.plot(
            [100 * drop for drop in DROPS],
            [100 * rates(seeds, drop)["worse"] for drop in DROPS],
            marker,
            color=colour,
            label=f"{seeds[0]} seeds against {seeds[1]}",
        )
    right.axhline(90, color="black", linewidth=0.8)
    right.set(
        title="power of a comparison",
        xlabel="true drop, points",
        ylabel="cells, %",
        ylim=(-2, 102),
    )
    for axes in (left, middle, right):
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(folder / "statistics.svg", metadata={"Date": None})


if __name__ == "__main__":
    (DOCS / "statistics.md").write_text(with_tables((DOCS / "statistics.md").read_text()))
    draw(DOCS)
