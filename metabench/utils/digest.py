"""Digests of JSON values."""

from __future__ import annotations

import hashlib
import json
from typing import Any


def digest_of(parts: dict[str, Any]) -> str:
    """The sha256 of some JSON values, the same for every order of their keys."""
    return hashlib.sha256(
        json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()
    ).hexdigest()
