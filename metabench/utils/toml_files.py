"""TOML files of users and plugins."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

_REASONS = {
    errno.ENOENT: "it does not exist",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "its permissions forbid reading it",
}


class UnreadableFile(Exception):
    """Raised when a file cannot be read, is not UTF-8 text or is not valid TOML.

    Args:
        reason: What is wrong with it, without its path.
        missing: Whether it does not exist.
    """

    def __init__(self, reason: str, *, missing: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.missing = missing


def read_toml(path: Path) -> dict[str, Any]:
    """Returns the content of a TOML file.

    Raises:
        UnreadableFile: If it cannot be read, is not UTF-8 text or is not valid TOML.
    """
    import tomllib  # not at the top: `metabench --help` imports this module, and must be fast

    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        # str(error) would repeat the path, and begin with "[Errno 2]".
        reason = _REASONS.get(error.errno or 0) or error.strerror or type(error).__name__
        raise UnreadableFile(reason, missing=error.errno == errno.ENOENT) from error
    except UnicodeDecodeError as error:
        wrong = error.object[error.start]
        raise UnreadableFile(f"it is not UTF-8 text: byte {error.start} is {wrong:#04x}") from error
    except tomllib.TOMLDecodeError as error:
        text = f"{str(error)[:1].lower()}{str(error)[1:]}"
        raise UnreadableFile(f"it is not valid TOML: {text}") from error
