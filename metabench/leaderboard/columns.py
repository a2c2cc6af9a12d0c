"""The columns of a leaderboard beyond the score."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from metabench.errors import UnknownName

ValueFormat = Literal["share", "number", "count", "flag"]

FEWEST_EPISODES = 50
"""Test episodes that a metric with episodes of its own needs, else the board does not show it.

On two episodes half the width of an interval of the drop was 0.85 on a scale of 0 to 1.
"""

BASELINE = "nearest-mean"
"""The algorithm whose drops the relative columns divide by."""


@dataclass(frozen=True)
class ExtraColumn:
    """A column of the table below the ranking.

    Attributes:
        key: Its name in JSON and CSV, and for ``--columns``.
        title: Its heading in tables for people.
        metric: The metric that it is read from.
        path: The keys of the value in the values of the metric; a list of texts counts as its
            length. Empty for the mean of the metric.
        form: How it is formatted.
        narrow: Whether a terminal shows it by default.
        relative: Whether it is divided by the same value of :data:`BASELINE`.
        better: Whether a higher or a lower value is better; empty if neither is. A drop has
            neither: a method that is right by chance loses nothing. Robust accuracy ranks.
        robustness: Whether it needs a score above chance and :data:`FEWEST_EPISODES`, and is bold
            only if its interval is apart from that of the next.
        half_width: The keys of half the width of its 95 % interval over the episodes.
    """

    key: str
    title: str
    metric: str
    path: tuple[str, ...]
    form: ValueFormat = "share"
    narrow: bool = False
    relative: bool = False
    better: Literal["higher", "lower", ""] = "lower"
    robustness: bool = False
    half_width: tuple[str, ...] = ()


def _drop(
    key: str, title: str, metric: str, path: tuple[str, ...], *, narrow: bool = False
) -> ExtraColumn:
    """Returns the column of a score that is lost, whose interval stands beside it in a record."""
    beside = (*path[:-1], f"{path[-1]}_ci95")
    return ExtraColumn(
        key, title, metric, path, narrow=narrow, better="", robustness=True, half_width=beside
    )


def _relative(key: str, title: str, path: tuple[str, ...]) -> ExtraColumn:
    """Returns the column of a drop as a multiple of that of :data:`BASELINE`."""
    return ExtraColumn(
        key, title, "noise", path, "number", relative=True, better="", robustness=True
    )


_LABEL_NOISE = ("label_noise", "0.4", "drop")
_CORRUPTION = ("corruptions", "query", "mean_drop")
_ATTACKS = (
    ("pgd_0.1", "PGD 0.1", "pgd-linf-0.1"),
    ("pgd_0.2", "PGD 0.2", "pgd-linf-0.2"),
    ("pgd_0.3", "PGD 0.3", "pgd-linf-0.3"),
    ("square_0.1", "Square 0.1", "square-linf-0.1"),
)
# The evidence for the doubts about an attack: metrics/adversarial/reliability.py.
_RELIABILITY: tuple[tuple[str, str, ValueFormat], ...] = (
    ("zero_gradients", "zero grad", "share"),
    ("deterministic", "determ.", "share"),
    ("white_box", "white box", "share"),
    ("black_box", "black box", "share"),
    ("loss_rose", "loss rose", "share"),
    ("radius_excess", "radius excess", "number"),
    ("accuracy_everywhere", "any input", "share"),
)
"""Flags of :meth:`metabench.metrics.adversarial.reliability.Reliability.verdict`."""

COLUMNS: tuple[ExtraColumn, ...] = (
    ExtraColumn("adaptation_area", "area", "adaptation", ("area",), narrow=True, better="higher"),
    ExtraColumn("steps_to_95", "steps to 95 %", "adaptation", ("steps_to_95",), "count"),
    ExtraColumn(
        "steps_to_threshold", "steps to threshold", "adaptation", ("steps_to_threshold",), "count"
    ),
    _drop("label_noise_drop", "- labels 0.4", "noise", _LABEL_NOISE, narrow=True),
    _relative("label_noise_relative", "labels / nm", _LABEL_NOISE),
    _drop("corruption_drop", "- corrupt", "noise", _CORRUPTION, narrow=True),
    _relative("corruption_relative", "corrupt / nm", _CORRUPTION),
    _drop("noise_drop", "- noise", "noise", ("mean_drop",)),
    *(
        ExtraColumn(
            key,
            title,
            "adversarial",
            ("attacks", attack, "score"),
            narrow=key == "pgd_0.1",
            better="higher",
            robustness=True,
            half_width=("attacks", attack, "ci95"),
        )
        for key, title, attack in _ATTACKS
    ),
    _drop("poisoning_drop", "- poison", "adversarial", ("poisoning", "drop"), narrow=True),
    ExtraColumn("doubts", "doubts", "adversarial", ("reliability", "doubts"), "count", narrow=True),
    *(
        ExtraColumn(key, title, "adversarial", ("reliability", key), form, better="")
        for key, title, form in _RELIABILITY
    ),
    _drop("within_group_drop", "- one group", "shift", ("within_group", "drop")),
    _drop("elsewhere_drop", "- other data", "shift", ("elsewhere", "drop")),
    _drop("shift_drop", "- shift", "shift", ("query", "mean_drop"), narrow=True),
    ExtraColumn(
        "transductive", "transd.", "transduction", ("transductive",), "flag", narrow=True, better=""
    ),
    ExtraColumn("transduction_gain", "batch gain", "transduction", (), better=""),
    ExtraColumn("adapt_ms_iqr", "adapt IQR ms", "cost", ("adapt_ms_iqr",), "number"),
    ExtraColumn("adapt_flops", "adapt FLOPs", "cost", ("adapt_flops",), "count"),
    ExtraColumn("predict_flops", "predict FLOPs", "cost", ("predict_flops",), "count"),
    ExtraColumn("adapt_joules", "adapt J", "cost", ("adapt_joules",), "number"),
    ExtraColumn("gradient_order", "order", "cost", ("gradient_order",), "count", better=""),
    ExtraColumn("parameters", "parameters", "cost", ("parameters",), "count"),
    ExtraColumn("macro_f1", "macro-F1", "accuracy", ("macro_f1",), better="higher"),
    ExtraColumn("ece", "ECE", "accuracy", ("ece",), "number"),
    ExtraColumn("nll", "NLL", "accuracy", ("nll",), "number"),
    ExtraColumn("worst_decile", "worst decile", "accuracy", ("worst_decile",), better="higher"),
)
"""The columns that are read from a metric, in the order of the table. A drop is score lost."""

TRAINING: tuple[ExtraColumn, ...] = (
    ExtraColumn("seconds_to_threshold", "s to threshold", "", (), "number"),
    ExtraColumn("examples_per_second", "examples/s", "", (), "count", better="higher"),
    ExtraColumn("tasks_per_second", "tasks/s", "", (), "count", better="higher"),
    ExtraColumn("train_joules", "train J", "", (), "count"),
    ExtraColumn("cell_seconds", "cell s", "", (), "count"),
    ExtraColumn("validation_examples", "val. examples", "", (), "count", better=""),
)
"""The columns that are computed from more than one value."""

ALL_COLUMNS = (*COLUMNS, *TRAINING)
KEYS = tuple(column.key for column in ALL_COLUMNS)


def choose(names: Iterable[str]) -> list[ExtraColumn]:
    """Returns the columns of these names, in the order of the table.

    Args:
        names: Keys of columns; ``narrow`` for those that a terminal shows, ``all`` for all.

    Raises:
        UnknownName: If there is no such column.
    """
    wanted = set(names)
    for name in sorted(wanted - {*KEYS, "all", "narrow"}):
        raise UnknownName("column", name, KEYS, hint=f"Columns are {', '.join(KEYS)}; or all.")
    return [
        column
        for column in ALL_COLUMNS
        if column.key in wanted or "all" in wanted or ("narrow" in wanted and column.narrow)
    ]
