"""The environment that every record states, and the fingerprint of the machine."""

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

from metabench.utils.values import Value

if TYPE_CHECKING:
    import torch

Environment = dict[str, Value | None]


def environment(*, device: torch.device, threads: int, precision: str = "highest") -> Environment:
    """Returns the facts of this machine and installation that can change a score or a timing."""
    import torch  # not at the top: plugins call describe_library before anything needs torch

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


def machine_facts(environment: Mapping[str, Value | None]) -> Environment:
    """Returns the facts that must agree before two timings or peaks of memory are compared.

    Args:
        environment: That of a record (:func:`environment`).
    """
    names = ("cpu", "gpu", "threads", "torch", "device", "precision")
    facts = {name: environment.get(name) for name in names}
    facts["precision"] = facts["precision"] or "highest"  # older records do not state it
    return facts


def machine_of(environment: Mapping[str, Value | None]) -> str:
    """Returns :func:`machine_facts` as text: equal facts give equal text."""
    facts = machine_facts(environment)
    place = facts["cpu"] or "an unknown processor"
    if facts["gpu"]:
        place = f"{facts['gpu']} ({facts['device']}) with {place}"
    text = f"{place}, {facts['threads']} thread(s), torch {facts['torch']}"
    return text if facts["precision"] == "highest" else f"{text}, precision {facts['precision']}"


def describe_library(distribution: str) -> str:
    """Returns a library with its installed version, for :attr:`Spec.library`, without importing it.

    Args:
        distribution: The name it is installed by: ``"learn2learn"`` gives
            ``"learn2learn 0.2.0"``, or ``"learn2learn (not installed)"``.
    """
    try:
        return f"{distribution} {importlib.metadata.version(distribution)}"
    except importlib.metadata.PackageNotFoundError:
        return f"{distribution} (not installed)"


@functools.cache
def cpu_name(source: Path = Path("/proc/cpuinfo")) -> str:
    """Returns the model name of the processor, with its family and model number.

    Args:
        source: The file in which Linux describes its processors.
    """
    # Not py-cpuinfo (9.0): it starts processes and takes 1.5 s, which each worker would pay.
    facts: dict[str, str] = {}
    with contextlib.suppress(OSError):
        for line in source.read_text().splitlines():
            key, _, value = line.partition(":")
            facts.setdefault(key.strip(), value.strip())
    name = facts.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in facts and "model" in facts:
        # Virtual machines often shorten the name: "AMD EPYC" stands for four generations.
        return f"{name} (family {facts['cpu family']}, model {facts['model']})"
    return name


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
def _git() -> Environment:
    """Returns the commit of metabench's source, if it runs from a checkout."""
    package = Path(__file__).parents[1]
    if not (package.parent / ".git").exists():
        return {}
    commit = _run_git(package, "rev-parse", "HEAD")
    if commit is None:
        return {}
    # The package alone: new records and tables in the checkout do not change what the code does.
    changed = _run_git(package, "status", "--porcelain", "--", str(package))
    return {"git_commit": commit, "git_dirty": bool(changed)}


def _run_git(folder: Path, *arguments: str) -> str | None:
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
