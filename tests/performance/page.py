"""The page of the figures of a machine, and the same tables as a block of the documentation.

``python -m tests.performance.page leaderboards/performance docs/performance.md`` writes all.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from tabulate import tabulate

from tests.performance.figures import Figure, load

BEGIN = "<!-- from here, made by tests/performance/page.py -->"
END = "<!-- to here -->"
COLUMNS = (
    "what",
    "setting",
    "threads",
    "metabench",
    "fastest peer",
    "others",
    "measured",
    "must reach",
    "met",
)
NOTHING = "Nothing has been measured yet; the last section says how to measure."


def table(figures: Iterable[Figure]) -> str:
    """Returns the table with one row for each figure."""
    rows = [_row(figure) for figure in figures]
    return tabulate(rows, headers=COLUMNS, tablefmt="pipe", disable_numparse=True)


def _row(figure: Figure) -> list[str]:
    sides = figure.sides
    others = [name for name in sides if name not in ("metabench", figure.peer)]
    return [
        figure.what,
        figure.setting,
        str(figure.threads),
        _rate(sides["metabench"], figure.rate_unit) if "metabench" in sides else "",
        f"{figure.peer} {_rate(sides[figure.peer], '')}".strip() if figure.peer else "",
        ", ".join(
            [f"{name} {_rate(sides[name], '')}" for name in others]
            + [f"({name} {_rate(rate, '')})" for name, rate in figure.beside.items()]
        ),
        _with_unit(figure.value, figure.unit),
        ("≥ " if figure.sense == "at least" else "≤ ") + _with_unit(figure.bar, figure.unit),
        "yes" if figure.met else "**no**",
    ]


def _with_unit(value: float, unit: str) -> str:
    return f"{value:.3g} {unit}" if unit == "x" else f"{value:.4g} {unit}".strip()


def _rate(rate: dict[str, float], unit: str) -> str:
    """Returns a median with its quartiles as text."""
    spread = f"{_short(rate['median'])} [{_short(rate['q1'])}, {_short(rate['q3'])}]"
    return f"{spread} {unit}".strip()


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def ceiling_table(figures: Iterable[Figure]) -> str:
    """Returns FLOPs relative to one large matrix product, and peak memory, by row and side.

    Only rows with counted FLOPs are in the table.
    """
    rows = []
    for figure in figures:
        for side, share in figure.extra.get("share_of_sgemm", {}).items():
            flops, most = figure.extra["mflop_a_task"], figure.environment["sgemm_gflops"]
            memory = figure.extra.get("mb", {}).get(side)
            rows.append(
                [figure.what, str(figure.threads), side, f"{flops:g}", f"{most:g}", f"{share:.1%}"]
            )
            rows[-1].append("" if memory is None else f"{memory:,.0f}")
    head = ("what", "threads", "side", "MFLOP a task", "sgemm GFLOP/s", "of sgemm", "peak MiB")
    return tabulate(rows, headers=head, tablefmt="pipe", disable_numparse=True) if rows else ""


def body(name: str, figures: dict[str, Figure]) -> str:
    """Returns the tables of one machine with its environments."""
    rows = list(figures.values())
    parts = [table(rows)]
    if ceilings := ceiling_table(rows):
        parts += [
            "Rate of an outer step in FLOPs (counted by `torch.utils.flop_counter` on "
            "learn2learn's step) relative to the product of two 1024 x 1024 float32 matrices with "
            "as many threads, and the peak memory of an outer step in one process.",
            ceilings,
        ]
    parts += [f"* {figure.what}: {figure.note}" for figure in rows if figure.note]
    parts += [f"Measured on `{name}`: " + "; ".join(_places(rows)) + "."]
    return "\n\n".join(parts)


def _places(rows: list[Figure]) -> list[str]:
    """Returns the distinct environments of the rows."""
    said = []
    for figure in rows:
        facts = [f"{figure.environment.get('cpu')}, {figure.environment.get('cpu_count')} cores"]
        facts += [str(figure.environment["gpu"])] if "gpu" in figure.environment else []
        facts += [f"Python {figure.environment.get('python')}"]
        facts += [f"{library} {version}" for library, version in figure.versions.items()]
        said.append(", ".join(facts) + f", on {figure.measured}")
    return sorted(set(said))


def render(name: str, figures: dict[str, Figure]) -> str:
    """Returns the page of one machine."""
    head = (
        f"# Speed on {name}\n\nMade from `{name}.json` by `tox -e bench`. Rates are medians over "
        "interleaved rounds with their quartiles; `measured` is relative to the fastest peer. "
        "Sides in brackets are shown only.\n\n"
    )
    return head + body(name, figures) + "\n"


def write(path: Path) -> None:
    """Write the page of a file of figures next to it."""
    path.with_suffix(".md").write_text(render(path.stem, load(path)), encoding="utf-8")


def block(folder: Path) -> str:
    """Returns the block of the documentation with all machines of a folder."""
    parts = [
        f"### {path.stem}\n\n{body(path.stem, load(path))}"
        for path in sorted(folder.glob("*.json"))
    ]
    return "\n\n".join(parts) or NOTHING


def with_block(text: str, made: str) -> str:
    """Returns a document with the text between its two markers replaced."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


def main(folder: Path, document: Path) -> None:
    """Write every page of a folder and the block of a document."""
    for path in sorted(folder.glob("*.json")):
        write(path)
    document.write_text(
        with_block(document.read_text(encoding="utf-8"), block(folder)), encoding="utf-8"
    )


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
