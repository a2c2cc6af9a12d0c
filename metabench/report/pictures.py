"""Pictures of the first test episodes of a benchmark."""

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
"""Queries of each class in a picture."""

_MOST_WAYS = 10
_MOST_SHOTS = 5
_LARGEST_SIDE = 64
_FRAME = 2
_BAR = 6
_GREY = 128
_MOST_EXAMPLES = 4000  # a record may state any number of ways and shots


@dataclass(frozen=True)
class Picture:
    """A picture of an episode.

    Attributes:
        source: A ``data:`` URL of a PNG file.
        width: In pixels.
        height: In pixels.
        text: The text alternative.
    """

    source: str
    width: int
    height: int
    text: str


def pictures_of(
    benchmark: Benchmark, records: list[Record], registry: Registry, data: Path | None
) -> list[Picture] | str:
    """Returns pictures of the first frozen test episodes, or why there are none.

    The data set must have the digest of the records: another would show other episodes.

    Args:
        benchmark: The definition of the benchmark.
        records: Its records.
        registry: The installed plugins.
        data: The folder with a folder for each data set; by default the usual one.
    """
    if not benchmark.ways:
        return "The episodes of this benchmark are functions, not images."
    if benchmark.protocol.examples > _MOST_EXAMPLES or not _installed(benchmark, registry):
        return "No installed suite defines this benchmark, so its data set is not opened."
    try:
        dataset = open_dataset(registry, benchmark.dataset, data, dict(benchmark.dataset_options))
        # A record may state ways for a data set that has no classes.
        if isinstance(dataset, TaskFamily):
            return "The episodes of this benchmark are functions, not images."
        tasks = BenchmarkTasks(benchmark, dataset, torch.device("cpu"))
        sampler = tasks.held_out("test")
        if any(r.data_digest and r.data_digest != tasks.data_digest for r in records):
            return "The installed data set is not the one that the records were made with."
        batch = sampler.range(0, min(EPISODES, benchmark.test_episodes))
    except (MetabenchError, OSError, ValueError, RuntimeError, MemoryError):
        # The message may name folders of this machine, and the page may be published.
        return f"The data set '{benchmark.dataset}' could not be opened to make this page."
    if batch.support_x.ndim != 5 or batch.support_x.shape[2] not in (1, 3):
        return "The examples of this benchmark are not images."
    return [_picture(task, ways=batch.ways, index=index) for index, task in enumerate(batch)]


def _installed(benchmark: Benchmark, registry: Registry) -> bool:
    """Returns whether an installed suite opens the data set with these options."""
    # A record could otherwise have any file opened: options may be a path.
    installed = collect_benchmarks(load_suites(registry).values()).values()
    pairs = [(b.dataset, b.dataset_options) for b in installed]
    return not benchmark.dataset_options or (benchmark.dataset, benchmark.dataset_options) in pairs


def _picture(task: Task, *, ways: int, index: int) -> Picture:
    """Draw a row for each class: the support on the left, some queries on the right."""
    rows = []
    for label in range(min(ways, _MOST_WAYS)):
        support = [_tile(x) for x in task.support.x[task.support.y == label][:_MOST_SHOTS]]
        query = [_tile(x) for x in task.query_x[task.query_y == label][:QUERIES]]
        bar = np.full((support[0].shape[0], _BAR, 3), _GREY, np.uint8)
        rows.append(np.concatenate([*support, bar, *query], axis=1))
    pixels = np.concatenate(rows, axis=0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", optimize=True)
    shown = f", the first {_MOST_WAYS} of them" if ways > _MOST_WAYS else ""
    return Picture(
        "data:image/png;base64," + base64.b64encode(file.getvalue()).decode(),
        pixels.shape[1],
        pixels.shape[0],
        f"Test episode {index}: {ways} classes{shown}, one in each row. The support set is left of "
        "the bar, some of the queries are right of it.",
    )


def _tile(x: Tensor) -> NDArray[np.uint8]:
    """Returns an example ``[C, H, W]`` between 0 and 1 as pixels ``[H, W, 3]`` with a frame."""
    step = -(-max(x.shape[1:]) // _LARGEST_SIDE)  # every nth pixel: the page embeds the picture
    image = (x[:, ::step, ::step].clamp(0, 1) * 255).round().to(torch.uint8)
    colour = image.expand(3, *image.shape[1:]).permute(1, 2, 0).numpy()
    return np.pad(colour, ((_FRAME, 0), (_FRAME, 0), (0, 0)), constant_values=_GREY)
