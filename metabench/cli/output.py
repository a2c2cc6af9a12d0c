"""What commands print: JSON documents and text tables."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click


def print_json(document: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(document, indent=1))


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """Print rows as a table, with their keys as the heading."""
    from tabulate import tabulate

    click.echo(
        tabulate(
            [{k: str(v) for k, v in row.items()} for row in rows],
            headers="keys",
            disable_numparse=True,
        )
    )
