"""The salt of test episodes: a secret that draws others than the public ones."""

from __future__ import annotations

import hashlib
from functools import lru_cache

from metabench.errors import UsageError

LEAST_CHARACTERS = 12

# The digest is published in records. A slow function makes it costly to guess a salt from it:
# a guess takes 0.1 s of a core.
_ROUNDS = 200_000
_DOMAIN = b"metabench test episodes"


@lru_cache(maxsize=8)
def salt_digest(salt: str) -> str:
    """Returns the digest of a salt, which records state in its place.

    Raises:
        UsageError: If the salt is short enough to be guessed from its digest.
    """
    if len(salt) < LEAST_CHARACTERS:
        raise UsageError(
            f"the salt of the episodes has {len(salt)} characters, and could be guessed.",
            hint=f"Use at least {LEAST_CHARACTERS}: `openssl rand -hex 16` makes one.",
        )
    return hashlib.pbkdf2_hmac("sha256", salt.encode(), _DOMAIN, _ROUNDS).hex()
