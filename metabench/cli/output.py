"""Output of commands: JSON documents, text tables and files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from metabench.errors import ResultsError


def print_json(document: Any) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=1))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table with their keys as the heading."""
    from tabulate import tabulate

    # As text: tabulate would show the version "1.10" as the number 1.1.
    text = [{key: str(value) for key, value in row.items()} for row in rows]
    click.echo(tabulate(text, headers="keys", disable_numparse=True))


def write_text(path: Path, text: str, *, hint: str = "") -> None:
    """Write a file and the folders above it.

    Args:
        path: The file.
        text: What it contains.
        hint: What to do if that fails.

    Raises:
        ResultsError: If the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"'{path}' cannot be written: {error.strerror or error}."
        raise ResultsError(message, hint=hint) from error
