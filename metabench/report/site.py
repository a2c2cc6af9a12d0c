"""Write a folder of pages atomically."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from metabench.errors import ResultsError

MARK = ".metabench-report"
"""The file that marks a folder as a report; it lists the files of the report."""


def write_site(pages: Mapping[str, str], out: Path) -> None:
    """Write pages into a folder, which replaces an earlier report once all pages are written.

    Args:
        pages: The text of each file, by its path below the folder.
        out: The folder: new, empty, or a report without any other files.

    Raises:
        ResultsError: If the folder holds other files or cannot be written; it is left unchanged.
    """
    out = out.resolve()
    check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        # On the same file system as `out`, so that it can be renamed.
        temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
        try:
            new = temporary / "new"
            for name, text in {**pages, MARK: _listing(pages)}.items():
                path = new / name
                if not path.resolve().is_relative_to(new):
                    raise ResultsError(f"the page '{name}' would be written outside '{out}'.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
            _swap(new, out, temporary / "old")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        raise ResultsError(
            f"the report '{out}' cannot be written: {error.strerror or error}."
        ) from error


def check_replaceable(out: Path) -> None:
    """Check that a folder can be replaced by a report.

    Raises:
        ResultsError: If it holds a file that is not part of a report.
    """
    try:
        foreign, marked = _inspect(out)
    except OSError as error:
        raise ResultsError(f"'{out}' cannot be read: {error.strerror or error}.") from error
    if foreign and marked:
        raise ResultsError(
            f"'{out}' holds '{foreign[0]}', which is not part of the report; nothing was written.",
            hint="Move it out of the folder, or choose another with --out.",
        )
    if foreign:
        raise ResultsError(
            f"'{out}' is not empty, and not a report of metabench; nothing was written.",
            hint="Choose another folder with --out.",
        )


def _inspect(out: Path) -> tuple[list[str], bool]:
    """Returns the files in a folder that are not part of a report, and whether it is a report."""
    if not out.exists():
        return [], False
    if not out.is_dir():
        raise ResultsError(f"'{out}' is a file.", hint="Choose a folder with --out.")
    mark = out / MARK
    if not mark.is_file():
        return [path.name for path in out.iterdir()], False
    listed = {MARK, *mark.read_text(encoding="utf-8", errors="replace").splitlines()[1:]}
    found = [p for p in out.rglob("*") if p.is_symlink() or not p.is_dir()]
    return sorted({path.relative_to(out).as_posix() for path in found} - listed), True


def _listing(pages: Mapping[str, str]) -> str:
    return "\n".join(["metabench report", *sorted(pages)]) + "\n"


def _swap(new: Path, out: Path, old: Path) -> None:
    """Rename a folder to ``out``, and restore the earlier one if that fails."""
    new.chmod(0o755)  # whatever the umask: a web server must read the site
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            with contextlib.suppress(OSError):
                old.rename(out)
        raise
