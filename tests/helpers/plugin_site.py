"""Installed plugins without pip: a module and the metadata that an installer would write."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

from metabench.plugins import GROUP, Plugins


@dataclass(frozen=True)
class Site:
    """A folder on the import path for plugins, with the cache folder of the runs."""

    path: Path
    cache: Path

    def add(
        self,
        name: str,
        source: str = "",
        *,
        distribution: str = "",
        module: str = "",
        requires: str = "",
        metadata: str | None = None,
        entry_points: str | None = None,
    ) -> None:
        """Install the plugin ``name``: a module with this source, and its metadata."""
        distribution = distribution or f"zoo-{name}"
        module = module or f"zoo_{name.replace('-', '_')}"
        self.path.mkdir(parents=True, exist_ok=True)
        (self.path / f"{module}.py").write_text(dedent(source))
        info = self.path / f"{distribution.replace('-', '_')}-1.0.dist-info"
        info.mkdir()
        if metadata is None:
            metadata = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n"
            metadata += f"Requires-Dist: {requires}\n" if requires else ""
        (info / "METADATA").write_text(metadata)
        (info / "entry_points.txt").write_text(entry_points or f"[{GROUP}]\n{name} = {module}\n")

    def entry_points(self) -> list[importlib.metadata.EntryPoint]:
        """Returns the entry points of these plugins and of metabench itself."""
        own = importlib.metadata.distribution("metabench").entry_points.select(group=GROUP)
        found = importlib.metadata.distributions(path=[str(self.path)])
        return [*own, *(e for d in found for e in d.entry_points.select(group=GROUP))]

    def load(self, **options: Any) -> Plugins:
        """Load these plugins and metabench itself in this process."""
        return Plugins(entry_points=self.entry_points(), **options)

    def metabench(
        self, *arguments: str | Path, code: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command line in a process of its own; it must exit with ``code``."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "metabench", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=self.cache,
            env={
                **os.environ,
                "PYTHONPATH": str(self.path),
                "METABENCH_CACHE": str(self.cache),
                "OMP_NUM_THREADS": "1",
                **environment,
            },
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def json(self, *arguments: str | Path, code: int = 0, **environment: str) -> Any:
        """Returns the JSON document that a command prints on stdout."""
        return json.loads(self.metabench(*arguments, "--json", code=code, **environment).stdout)
