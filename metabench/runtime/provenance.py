"""Where a number was made: the environment that stands in every record, and the machine in words."""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

Value = bool | int | float | str
Environment = dict[str, Value | None]


def environment(*, device: torch.device, threads: int, precision: str = "highest") -> Environment:
    """The facts of this machine and installation that can change a number or a timing."""
    import torch  # here: plugins ask for a library's version before anything needs torch

    facts: Environment = {
        "metabench": importlib.metadata.version("metabench"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": importlib.metadata.version("numpy"),
        "platform": platform.platform(),
        "cpu": cpu_name(),
        "cpu_count": os.cpu_count(),
        "threads": threads,
        "device": str(device),
        "precision": precision,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "git_commit": None,
        "git_dirty": None,
    }
    facts |= _git()
    if device.type == "cuda":
        facts |= _cuda(device)
    return facts


def _cuda(device: torch.device) -> Environment:
    import torch

    capability = ".".join(map(str, torch.cuda.get_device_capability(device)))
    return {
        "gpu": torch.cuda.get_device_name(device),
        "gpu_capability": capability,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "tf32": torch.backends.cudnn.allow_tf32,
    }


@functools.cache
def cpu_name(source: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's own name for itself, and its family and model: a virtual machine may hide the rest.

    Args:
        source: where Linux tells of its processors.
    """
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in source.read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in facts and "model" in facts:
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


@functools.cache
def _git() -> Environment:
    """The commit that this code stands at, where it runs from a checkout."""
    here = Path(__file__).parent
    if not (here.parent / ".git").exists():
        return {}
    commit = _git_says(here, "rev-parse", "HEAD")
    if commit is None:
        return {}
    # Records and tables may change beside the code without changing what the code does.
    changed = _git_says(here, "status", "--porcelain", "--", str(here))
    return {"git_commit": commit, "git_dirty": bool(changed)}


def _git_says(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def machine_of(environment: Mapping[str, Value | None]) -> str:
    """What must agree before milliseconds, seconds and memory are compared.

    Args:
        environment: that of a record (:func:`metabench.runtime.provenance.environment`).
    """
    place = environment.get("gpu") or environment.get("cpu") or "an unknown processor"
    return f"{place}, {environment.get('threads')} thread(s), torch {environment.get('torch')}"


def describe_library(distribution: str) -> str:
    """A library with the version that is installed, for :attr:`Spec.library`; it is not imported.

    Args:
        distribution: the name it is installed by: ``"learn2learn"`` gives ``"learn2learn 0.2.0"``, or
            ``"learn2learn (not installed)"``.
    """
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"
