"""All checks in the order in which they run; one module per family."""

from __future__ import annotations

from metabench.testing.check import Check
from metabench.testing.checks import (
    agreement,
    construction,
    gradients,
    independence,
    prediction,
    resources,
    storage,
)

PREREQUISITES: tuple[Check, ...] = (*construction.CHECKS, *prediction.CHECKS)
"""Checks that the others depend on: if one fails, those after it do not apply."""

CHECKS: tuple[Check, ...] = (
    *PREREQUISITES,
    *independence.CHECKS,
    *agreement.CHECKS,
    *storage.CHECKS,
    *gradients.CHECKS,
    *resources.CHECKS,
)
"""All checks."""
