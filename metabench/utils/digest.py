"""Digests of JSON values."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_of(values: dict[str, Any]) -> str:
    """Returns the sha256 of a JSON object, independent of the order of its keys."""
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
