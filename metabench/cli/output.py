"""Output of commands: JSON documents and text tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def print_json(document: Any) -> None:
    """Print a JSON document on stdout."""
    click.echo(json.dumps(document, indent=1))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table with their keys as the heading."""
    from tabulate import tabulate

    # As text: tabulate would show the version "1.10" as the number 1.1.
    text = [{key: str(value) for key, value in row.items()} for row in rows]
    click.echo(tabulate(text, headers="keys", disable_numparse=True))
