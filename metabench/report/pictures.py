"""The first test episodes of a benchmark as pictures: what the algorithms are shown."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from metabench.benchmarks.model import Benchmark, collect_benchmarks, load_suites
from metabench.benchmarks.tasks import BenchmarkTasks, open_dataset
from metabench.datasets.base import TaskFamily
from metabench.episodes import Task
from metabench.errors import MetabenchError
from metabench.records.schema import Record
from metabench.registry import Registry

EPISODES = 3
QUERIES = 3
"""Queries of each class that are shown."""

_WAYS = 10
_SHOTS = 5
_LARGEST_SIDE = 64
_GAP = 2
_BETWEEN = 6
_MOST_EXAMPLES = 4000


@dataclass(frozen=True)
class Picture:
    """An episode as a picture.

    Attributes:
        source: a ``data:`` address of a PNG file.
        width: in pixels.
        height: in pixels.
        text: what it shows.
    """

    source: str
    width: int
    height: int
    text: str


def pictures_of(
    benchmark: Benchmark, records: list[Record], registry: Registry, data: Path | None
) -> list[Picture] | str:
    """Draw the first frozen test episodes of a benchmark, or say why they cannot be drawn.

    The episodes are made anew, and held against the digest of the records: other data would show others.

    Args:
        benchmark: its definition.
        records: those that are shown.
        registry: what is installed.
        data: the folder that holds one folder per data set; by default the usual one.
    """
    if not benchmark.ways:
        return "The episodes of this benchmark are functions, and no pictures."
    if benchmark.protocol.examples > _MOST_EXAMPLES or not _known(benchmark, registry):
        return "This benchmark is of no installed suite: its data set is not opened."
    try:
        dataset = open_dataset(registry, benchmark.dataset, data, dict(benchmark.dataset_options))
        if isinstance(dataset, TaskFamily):
            return "The episodes of this benchmark are functions, and no pictures."
        tasks = BenchmarkTasks(benchmark, dataset, torch.device("cpu"))
        sampler = tasks.held_out("test")
        if any(r.data_digest and r.data_digest != tasks.data_digest for r in records):
            return "The data set that is installed here is not the one that the records were made with."
        batch = sampler.range(0, min(EPISODES, benchmark.test_episodes))
    except (MetabenchError, OSError, ValueError, RuntimeError, MemoryError):
        # The reason names folders of this machine, and the page is for everybody.
        return f"The data set '{benchmark.dataset}' could not be opened where this page was made."
    if batch.support_x.ndim != 5 or batch.support_x.shape[2] not in (1, 3):
        return "The examples of this benchmark are no pictures."
    return [_picture(task, ways=batch.ways, index=index) for index, task in enumerate(batch)]


def _known(benchmark: Benchmark, registry: Registry) -> bool:
    """Whether a data set may be opened with these options: those of a record alone could be anything."""
    installed = collect_benchmarks(load_suites(registry).values()).values()
    pairs = [(b.dataset, b.dataset_options) for b in installed]
    return not benchmark.dataset_options or (benchmark.dataset, benchmark.dataset_options) in pairs


def _picture(task: Task, *, ways: int, index: int) -> Picture:
    """One row for each class: the support on the left, some queries on the right."""
    rows = []
    for label in range(min(ways, _WAYS)):
        support = [_tile(x) for x in task.support.x[task.support.y == label][:_SHOTS]]
        query = [_tile(x) for x in task.query_x[task.query_y == label][:QUERIES]]
        between = np.full((support[0].shape[0], _BETWEEN, 3), 128, np.uint8)
        rows.append(np.concatenate([*support, between, *query], axis=1))
    pixels = np.concatenate(rows, axis=0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    shown = f", the first {_WAYS} classes" if ways > _WAYS else ""
    return Picture(
        "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
        pixels.shape[1],
        pixels.shape[0],
        f"Test episode {index}: {ways} classes, one in each row{shown}; the support is left of the bar, "
        "some of the queries are right of it.",
    )


def _tile(x: Tensor) -> NDArray[np.uint8]:
    """One example with a frame: float ``[C, H, W]`` to uint8 ``[H, W, 3]``."""
    step = -(-max(x.shape[1:]) // _LARGEST_SIDE)
    image = (x[:, ::step, ::step].clamp(0, 1) * 255).round().to(torch.uint8)
    colour = image.expand(3, *image.shape[1:]).permute(1, 2, 0).numpy()
    return np.pad(colour, ((_GAP, 0), (_GAP, 0), (0, 0)), constant_values=128)
