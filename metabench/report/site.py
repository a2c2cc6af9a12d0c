"""Write a folder of pages, whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from metabench.errors import ResultsError

MARK = ".metabench-report"
"""The file that makes a folder a report of ours; it lists the files that we wrote."""


def write_site(pages: Mapping[str, str], out: Path) -> None:
    """Write pages into a folder that takes the place of an earlier report only when all is written.

    Args:
        pages: the text of each file, by its path below the folder.
        out: the folder; it must be new, empty, or a report that nobody has put other files into.

    Raises:
        ResultsError: the folder holds other things, or cannot be written. It is left as it was.
    """
    out = out.resolve()
    check_replaceable(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.", suffix=".tmp"))
        try:
            new = beside / "new"
            for name, text in {**pages, MARK: _list_of(pages)}.items():
                path = new / name
                if not path.resolve().is_relative_to(new):
                    raise ResultsError(f"the page '{name}' would be written outside '{out}'.")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
            _swap(new, out, beside / "old")
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise ResultsError(
            f"the report '{out}' cannot be written: {error.strerror or error}."
        ) from error


def check_replaceable(out: Path) -> None:
    """Raise ResultsError where a folder holds anything that is not of a report of ours."""
    try:
        foreign, marked = _look_into(out)
    except OSError as error:
        raise ResultsError(f"'{out}' cannot be read: {error.strerror or error}.") from error
    if foreign and marked:
        raise ResultsError(
            f"'{out}' holds '{foreign[0]}', which is not of the report: nothing was written.",
            hint="Move it out of the folder, or choose another with --out.",
        )
    if foreign:
        raise ResultsError(
            f"'{out}' is not empty, and no report of metabench: nothing was written.",
            hint="Choose another folder with --out.",
        )


def _look_into(out: Path) -> tuple[list[str], bool]:
    """What a folder holds that we did not write, and whether it is a report of ours."""
    if not out.exists():
        return [], False
    if not out.is_dir():
        raise ResultsError(f"'{out}' is a file.", hint="Choose a folder with --out.")
    mark = out / MARK
    if not mark.is_file():
        return [path.name for path in out.iterdir()], False
    ours = {MARK, *mark.read_text(encoding="utf-8", errors="replace").splitlines()[1:]}
    there = [p for p in out.rglob("*") if p.is_symlink() or not p.is_dir()]
    return sorted({path.relative_to(out).as_posix() for path in there} - ours), True


def _list_of(pages: Mapping[str, str]) -> str:
    return "\n".join(["metabench report", *sorted(pages)]) + "\n"


def _swap(new: Path, out: Path, old: Path) -> None:
    """Put a new folder in the place of another, and the other back where that fails."""
    new.chmod(0o755)
    if out.exists():
        out.rename(old)
    try:
        new.rename(out)
    except OSError:
        if old.exists():
            with contextlib.suppress(OSError):
                old.rename(out)
        raise
