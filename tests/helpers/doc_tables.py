"""Tables of the documentation that are made from the code and from the leaderboards.

``python -m tests.helpers.doc_tables`` writes them into the pages, between ``<!-- NAME -->`` and
``<!-- end -->``.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from metabench.benchmarks.model import Augmentation, Benchmark, Suite
from metabench.config import read_config
from metabench.errors import ConfigError
from metabench.leaderboard.build import build
from metabench.leaderboard.render import rank_text, score_text
from metabench.leaderboard.rows import LeaderboardRow
from metabench.plugins import Plugins, installed_plugins
from metabench.records.store import ResultsFolder
from metabench.testing.checks import CHECKS
from tests.helpers.repository import ROOT
from tests.helpers.studies import best, trials

NOT_IN_A_FILE = {"quick"}
"""Keys of a benchmark that the program sets and a suite's author does not."""

BOARDS = ("core", "omniglot", "sinusoid")
"""The folders of leaderboards/ whose rows the pages of the algorithms show, in this order."""

MEASURED = (
    *("board", "benchmark", "version", "track", "rank"),
    *("score", "seeds", "examples", "seconds"),
)
"""The columns of such a row: examples and seconds are those of meta-training."""


def documented(owner: type, section: str) -> dict[str, str]:
    """Returns the entries in a section of a class's docstring, such as ``Attributes``, by name."""
    _, found, text = (inspect.getdoc(owner) or "").partition(f"{section}:\n")
    assert found, f"{owner.__name__} has no section {section}"
    text = textwrap.dedent(re.split(r"\n\n(?=\S)", text)[0])
    entries = re.findall(r"^(\w+): (.*(?:\n +.*)*)", text, re.MULTILINE)
    return {name: sentence(meaning) for name, meaning in entries}


def sentence(text: str) -> str:
    """Returns text of a docstring as one line of markdown."""
    text = re.sub(r":\w+:`~?\.?([^`]*)`", r"`\1`", " ".join(text.split()))
    return text.replace("``", "`").replace("|", "\\|").rstrip(".")


def table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    """Returns a table in markdown."""
    lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|---" * len(head) + "|", *lines[1:]])


def toml(value: Any) -> str:
    """Returns a default in TOML's notation, as code in Markdown; empty for ``None``."""
    if value is None:
        return ""
    if isinstance(value, tuple):
        return f"`[{', '.join(toml(item).strip('`') for item in value)}]`"
    if isinstance(value, BaseModel):
        value = value.model_dump(exclude_defaults=True)
    if isinstance(value, dict):
        return "`{}`" if not value else f"`{value}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value}`"


def constraint(schema: dict[str, Any]) -> str:
    """Returns the type and the bounds of a key in words, from its JSON schema."""
    names = {
        "integer": "integer",
        "string": "text",
        "boolean": "true or false",
        "array": "array",
        "object": "table",
    }
    # A reference is a model of its own, which TOML has as a table.
    words = [names[schema.get("type", "object")]]
    for key, sign in (("minimum", "≥"), ("exclusiveMinimum", ">"), ("maximum", "≤")):
        if key in schema:
            words.append(f"{sign} {schema[key]}")
    if "pattern" in schema:
        words.append(f"matching `{schema['pattern']}`")
    if "maxLength" in schema:
        words.append(f"at most {schema['maxLength']} characters")
    if schema.get("minItems"):
        words.append(f"at least {schema['minItems']}")
    return ", ".join(words)


def keys_of(model: type[BaseModel]) -> str:
    """Returns the table of the keys of a model that is read from TOML."""
    meanings = documented(model, "Attributes")
    schema = model.model_json_schema()["properties"]

    def rows() -> Iterator[tuple[str, ...]]:
        for name, field in model.model_fields.items():
            if name not in NOT_IN_A_FILE:
                default = field.default
                required = default is PydanticUndefined
                value = "required" if required else toml(default)
                yield f"`{name}`", constraint(schema[name]), value, meanings[name]

    return table(("key", "type", "default", "meaning"), rows())


def metric_options() -> str:
    """Returns the table of the options of all built-in metrics."""

    def rows() -> Iterator[tuple[str, ...]]:
        registry = installed_plugins().registry
        for spec in registry.specs("metric"):
            cls = spec.load()
            if spec.distribution != "metabench" or not dataclasses.is_dataclass(cls):
                continue
            meanings = documented(cls, "Args") if dataclasses.fields(cls) else {}
            for field in dataclasses.fields(cls):
                value = toml(field.default)
                yield f"`{spec.name}`", f"`{field.name}`", value, meanings[field.name]

    return table(("metric", "option", "default", "meaning"), rows())


def checks() -> str:
    """Returns the table of the checks of the conformance kit."""
    rows = ((f"`{check.name}`", sentence(check.claim)) for check in CHECKS)
    return table(("check", "what it verifies"), rows)


def configuration_keys() -> str:
    """Returns the keys of a run's configuration file."""
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write("no-such-key = 1")
        file.flush()
        try:
            read_config(Path(file.name))
        except ConfigError as error:  # its hint lists the keys for users, too
            names = error.hint.removeprefix("The keys are ").rstrip(".").split(", ")
    return textwrap.fill(", ".join(f"`{name}`" for name in names), 120, break_on_hyphens=False)


def studies() -> str:
    """Returns the default and the best trial of each algorithm in the committed studies."""

    def rows() -> Iterator[tuple[str, ...]]:
        for (benchmark, algorithm), group in trials().items():
            chosen = best(benchmark, group)
            both = (group[0], chosen)
            texts = [row["score"] and f"{float(row['score']):.3f}" for row in both]
            failed = sum(not row["score"] for row in group)
            yield benchmark, algorithm, *texts, chosen["trial"], f"{failed} of {len(group)}"

    return table(
        ("benchmark", "algorithm", "first trial", "best trial", "number", "failed"), rows()
    )


@functools.cache
def rows_of(board: str) -> tuple[LeaderboardRow, ...]:
    """Returns the rows of a committed leaderboard, by benchmark; none without the folder."""
    # Cached: the bootstrap of the ranks takes seconds, and every page asks for the same rows.
    records, unreadable = ResultsFolder(ROOT / "leaderboards" / board).load()
    assert not unreadable, unreadable
    return tuple(build(records).rows)


def measured(algorithm: str, rows: Callable[[str], tuple[LeaderboardRow, ...]] = rows_of) -> str:
    """Returns the table of an algorithm's rows on the leaderboards, or a sentence without any.

    Args:
        algorithm: Its name, which is the label of a row with the default recipe.
        rows: The rows of a leaderboard by its name.
    """
    found = [(board, row) for board in BOARDS for row in rows(board) if row.algorithm == algorithm]
    if not found:
        return "No leaderboard has a row of it with its default recipe."
    return table(MEASURED, (measured_cells(board, row) for board, row in found))


def measured_cells(board: str, row: LeaderboardRow) -> tuple[str, ...]:
    """Returns the cells of a row of a leaderboard; without a score, those of its status."""
    link = f"[{board}](../../leaderboards/{board}/README.md)"
    if row.score is None:
        status = "no score" if row.status == "ok" else row.status
        return link, row.benchmark, row.version, "", status, "", "", "", ""
    return (
        link,
        row.benchmark,
        row.version,
        row.track or "not measured",
        rank_text(row),
        score_text(row),
        str(row.seeds),
        f"{row.train_examples or 0:,}",
        f"{row.train_seconds or 0:,.0f}",
    )


def pages_of_algorithms() -> dict[tuple[str, str], Callable[[], str]]:
    """Returns the function that returns what was measured, by page, for built-in algorithms."""
    names = Plugins(only=()).registry.names("algorithm")
    return {
        (f"docs/algorithms/{name}.md", f"measured {name}"): functools.partial(measured, name)
        for name in names
    }


TABLES: dict[tuple[str, str], Callable[[], str]] = {
    ("docs/usage.md", "configuration keys"): configuration_keys,
    ("docs/conformance.md", "checks"): checks,
    ("docs/metrics.md", "metric options"): metric_options,
    ("docs/tuning.md", "studies"): studies,
    ("docs/suites.md", "suite keys"): lambda: keys_of(Suite),
    ("docs/suites.md", "benchmark keys"): lambda: keys_of(Benchmark),
    ("docs/suites.md", "augmentation keys"): lambda: keys_of(Augmentation),
    **pages_of_algorithms(),
}
"""The function that returns each table, by its page and its name there."""


def marked(name: str) -> re.Pattern[str]:
    """Returns the pattern of a table on its page: the text between its markers is group 2."""
    return re.compile(rf"(<!-- {re.escape(name)} -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def main() -> None:
    """Write every table into its page."""
    for (page, name), make in TABLES.items():
        path = ROOT / page
        text = path.read_text(encoding="utf-8")
        found = marked(name).search(text)
        assert found is not None, f"{page} has no place for the table {name}"
        path.write_text(
            f"{text[: found.start(2)]}{make()}\n{text[found.end(2) :]}", encoding="utf-8"
        )


if __name__ == "__main__":
    main()
