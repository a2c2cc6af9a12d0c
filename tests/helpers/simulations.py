"""Simulations of the intervals and of ``metabench compare``: the figures of ``docs/statistics.md``.

``python -m tests.helpers.simulations`` writes the numbers into the page and draws its figure.
"""

import re
from functools import cache
from pathlib import Path

import numpy as np

from metabench.compare.verdicts import ComparisonRow, decide
from metabench.report.styles import COLOURS
from metabench.stats import class_interval, holm, permutation_tests, t_interval

DOCS = Path(__file__).parents[2] / "docs"
QUERIES, EPISODES = 75, 600
ACCURACIES = (0.6, 0.7, 0.8, 0.9, 0.95, 0.98)
COMPARED = (0.6, 0.8, 0.95)
DROPS = (0.0, 0.005, 0.01, 0.015, 0.02, 0.025, 0.03)
LENGTHS = (50, 150, 600, 2400)
TRUTH = 0.75


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
        interval = class_interval(shown, hits, queries=15, resamples=400)
        by_class.append(interval.low <= TRUTH <= interval.high)
        mean, half_width = t_interval(hits.mean(1) / 15)
        by_episode.append(abs(mean - TRUTH) <= half_width)
    return float(np.mean(by_class)), float(np.mean(by_episode))


@cache
def worse_rates(
    accuracy: float, drop: float, *, tables: int = 250, cells: int = 4
) -> tuple[float, float]:
    """Returns how often any cell of a comparison is worse, and how often the one that dropped."""
    rng = np.random.default_rng([int(1000 * accuracy), int(1000 * drop), cells])
    base, new = accuracies(rng, accuracy, shape=(tables, cells, EPISODES))
    base[:, 0], new[:, 0] = accuracies(rng, accuracy, drop=drop, shape=(tables, EPISODES))
    differences = (new - base).reshape(tables * cells, EPISODES)
    p_values = permutation_tests(differences, resamples=1999).reshape(tables, cells)
    effects = differences.mean(1).reshape(tables, cells)
    worse = np.array([are_worse(p, effect) for p, effect in zip(p_values, effects, strict=True)])
    return float(worse.any(1).mean()), float(worse[:, 0].mean())


def are_worse(p_values: np.ndarray, effects: np.ndarray) -> list[bool]:
    """Returns which cells of a comparison are worse."""
    return [is_worse(p, e) for p, e in zip(holm(p_values.tolist()), effects.tolist(), strict=True)]


def is_worse(p_value: float, effect: float) -> bool:
    """Returns whether a cell is worse at the default level and minimum effect."""
    row = ComparisonRow("a", "b", "same", effect=effect, difference=effect)
    row = decide(row, p_episodes=p_value, p_value=p_value, min_effect=0.01, alpha=0.05)
    return row.verdict == "worse"


def tables() -> dict[str, str]:
    """Returns the tables of the page in Markdown, by name."""
    percent = [f"{100 * coverage(a):.1f} %" for a in ACCURACIES]
    new = {n: coverage_of_new_classes(n) for n in LENGTHS}
    return {
        "coverage": _table(["accuracy", *map(str, ACCURACIES)], [["coverage", *percent]]),
        "new classes": _table(
            ["episodes", *map(str, LENGTHS)],
            [
                ["over the classes", *(f"{100 * new[n][0]:.1f} %" for n in LENGTHS)],
                ["over the episodes", *(f"{100 * new[n][1]:.1f} %" for n in LENGTHS)],
            ],
        ),
        "false alarms": _table(
            ["accuracy", *map(str, COMPARED)],
            [
                [
                    "comparisons with a false alarm",
                    *(
                        f"{100 * worse_rates(a, 0.0, tables=400, cells=10)[0]:.1f} %"
                        for a in COMPARED
                    ),
                ]
            ],
        ),
        "power": _table(
            ["drop in points", *(f"{100 * d:g}" for d in DROPS)],
            [
                [f"at accuracy {a}", *(f"{100 * worse_rates(a, d)[1]:.1f} %" for d in DROPS)]
                for a in COMPARED
            ],
        ),
    }


def _table(heading: list[str], rows: list[list[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def with_tables(page: str) -> str:
    """Returns the page with new tables between its markers."""
    for name, table in tables().items():
        mark = f"<!-- {name} -->"
        page, found = re.subn(
            f"{mark}\n.*?\n<!-- end -->", f"{mark}\n{table}\n<!-- end -->", page, flags=re.S
        )
        if found != 1:
            raise ValueError(f"the page has {found} places for the table '{name}'")
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
    for accuracy, marker, colour in zip(
        COMPARED, ("o-", "s--", "^:"), (blue, orange, green), strict=True
    ):
        seen = [100 * worse_rates(accuracy, drop)[1] for drop in DROPS]
        right.plot(
            [100 * d for d in DROPS], seen, marker, color=colour, label=f"accuracy {accuracy}"
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
