"""``metabench compare``: the regression test for a pull request."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from metabench.cli.records import RUN, json_option, load_records, print_left_out
from metabench.errors import (
    EXIT_CELL_FAILED,
    EXIT_NOTHING,
    EXIT_OK,
    EXIT_REGRESSION,
    NothingSelected,
    ResultsError,
)
from metabench.utils.text import counted

if TYPE_CHECKING:
    from metabench.compare import Comparison
    from metabench.records.schema import Record
    from metabench.records.store import Unreadable

_PATH = click.Path(path_type=Path)


@click.command("compare")
@click.argument("base", type=_PATH)
@click.argument("new", type=_PATH)
@json_option
@click.option("--markdown", type=_PATH, metavar="FILE", help="Write a summary for a pull request.")
@click.option(
    "--benchmark-json",
    type=_PATH,
    metavar="FILE",
    help="Write the input of github-action-benchmark.",
)
@click.option(
    "--min-effect",
    default=0.01,
    show_default=True,
    help="The least effect that matters: 0.01 is a point of accuracy, or 1 % of another metric.",
)
@click.option(
    "--alpha",
    default=0.05,
    show_default=True,
    help="The probability of any false alarm in the table.",
)
@click.option("--require-baseline", is_flag=True, help="Exit with 2 if BASE is missing or empty.")
@click.option(
    "--allow-missing",
    is_flag=True,
    help="Do not fail if a cell of BASE is gone, unreadable or not comparable in NEW.",
)
@click.option("--strict", is_flag=True, help="Exit with 1 if a file is not a valid record.")
def command(
    base: Path,
    new: Path,
    *,
    as_json: bool,
    markdown: Path | None,
    benchmark_json: Path | None,
    min_effect: float,
    alpha: float,
    require_baseline: bool,
    allow_missing: bool,
    strict: bool,
) -> int:
    """Compare the records in NEW with those in BASE, cell by cell and episode by episode.

    Exits with 3 if a cell is worse: a significant loss (paired permutation test over the frozen
    episodes, Student's test over seeds and episodes, Holm's correction) of at least the least
    effect, or a cell that was ok and has failed; with 1 if a cell of BASE is gone, unreadable
    or not comparable in NEW; with 5 if BASE and NEW share nothing that can be compared. One seed on
    each side, time and memory only warn. If there is no baseline yet, it says so and exits with 0.
    """
    from metabench.cli.output import print_json, write_text
    from metabench.compare import (
        benchmark_entries,
        compare,
        sentence,
        to_document,
        to_markdown,
        to_table,
    )

    before, unreadable = _load_base(base, required=require_baseline)
    after, damaged = _load_new(new)
    notices = [f"'{base}' has no baseline yet: nothing was compared."] if not before else []
    unreadable += damaged
    result = compare(
        before,
        after,
        min_effect=min_effect,
        alpha=alpha,
        unreadable=[file.path for file in damaged],
    )
    left_out = result.left_out
    named = [f"{file.path} {file.reason}" for file in unreadable]
    result = replace(result, left_out=[*left_out, *named])
    # Before anything is printed: CI needs the files most when the exit code is not 0.
    if markdown is not None:
        write_text(markdown, to_markdown(result, notices=notices))
    if benchmark_json is not None:
        entries = json.dumps(benchmark_entries(result), indent=1, allow_nan=False)
        write_text(benchmark_json, entries + "\n")
    for text in notices:
        click.echo(f"notice: {text}", err=True)
    print_left_out(left_out, unreadable)
    # Nothing comparable at all is an answer of its own; beside compared cells it hides a loss.
    refused = result.of("not-comparable") if result.compared else []
    failed = bool((result.gone or refused) and not allow_missing) or bool(unreadable and strict)
    code = _exit_code(result, baseline=bool(before), failed=failed)
    if as_json:
        print_json(to_document(result) | {"notices": notices, "exit_code": code})
    else:
        click.echo(f"{to_table(result)}\n\n{sentence(result)}")
    return code


def _load_base(path: Path, *, required: bool) -> tuple[list[Record], list[Unreadable]]:
    # The first pull request of a project has no baseline yet.
    records, unreadable = load_records(path) if path.exists() else ([], [])
    if unreadable and not records:
        raise ResultsError(
            f"the baseline '{path}' has {counted(len(unreadable), 'file')} and no valid record: "
            f"{unreadable[0].path} {unreadable[0].reason}.",
            hint="Make the baseline again with `metabench run`.",
        )
    if required and not records:
        raise ResultsError(
            f"there is no baseline in '{path}'.",
            hint="Make one with `metabench run` and commit it, or omit --require-baseline.",
        )
    return records, unreadable


def _load_new(path: Path) -> tuple[list[Record], list[Unreadable]]:
    records, unreadable = load_records(path, hint=RUN)
    if not records:
        raise NothingSelected(
            f"'{path}' has {counted(len(unreadable), 'file')} and no valid record to compare.",
            hint="`metabench run` creates records.",
        )
    return records, unreadable


def _exit_code(result: Comparison, *, baseline: bool, failed: bool) -> int:
    if result.regressions:  # first: it is the answer that CI waits for
        return EXIT_REGRESSION
    if failed:
        return EXIT_CELL_FAILED
    if baseline and not result.compared:
        return EXIT_NOTHING
    return EXIT_OK
