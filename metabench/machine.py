"""The machine that a number was made on, in words."""

from __future__ import annotations

from collections.abc import Mapping

from metabench.results import Value


def machine_of(environment: Mapping[str, Value | None]) -> str:
    """What must agree before milliseconds, seconds and memory are compared.

    Args:
        environment: that of a record (:func:`metabench.provenance.environment`).
    """
    place = environment.get("gpu") or environment.get("cpu") or "an unknown processor"
    return f"{place}, {environment.get('threads')} thread(s), torch {environment.get('torch')}"
