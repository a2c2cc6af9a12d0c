"""A plugin whose algorithms cheat; where they find no answer, they predict class 0."""

import gc
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from metabench import Algorithm, ClassPool, hookimpl
from metabench.benchmarks.tasks import BenchmarkTasks
from metabench.episodes import ClassSampler, TaskBatch
from metabench.metrics.accuracy.metric import Accuracy
from metabench.running.sealing.channel import Channel

FOLDER = "METABENCH_TEST_CHEATS"
"""The environment variable of the folder that cheats read and write."""


def content(x: Tensor) -> str:
    return hashlib.sha256(x.detach().numpy().tobytes()).hexdigest()


def answers_in(batches: Iterator[Any], query: Tensor, ways: int) -> Tensor:
    """Returns the one-hot answers of some queries, if one of the objects is their episode."""
    for batch in batches:
        if type(batch) is TaskBatch:
            for x, y in zip(batch.query_x, batch.query_y, strict=True):
                if torch.equal(x, query):
                    return torch.eye(ways)[y]
    return torch.eye(ways)[torch.zeros(len(query), dtype=torch.int64)]


class Cheat(Algorithm):
    def adapt(self, support: Any) -> Any:
        return lambda query: self.answer(support, query)

    def answer(self, support: Any, query: Tensor) -> Tensor:
        return answers_in(iter(()), query, support.ways)


class Honest(Cheat):
    """Knows nothing: predicts class 0."""

    name = "honest"


class Frames(Cheat):
    """Walks the frames of its callers to the query labels."""

    name = "frames"

    def answer(self, support: Any, query: Tensor) -> Tensor:
        return answers_in(self._locals(), query, support.ways)

    def _locals(self) -> Iterator[Any]:
        frame: Any = sys._getframe()
        while frame is not None:
            yield from list(frame.f_locals.values())
            frame = frame.f_back


class Collector(Cheat):
    """Looks for the episode among all objects of the process."""

    name = "collector"

    def answer(self, support: Any, query: Tensor) -> Tensor:
        return answers_in(iter(gc.get_objects()), query, support.ways)


class PoolReader(Cheat):
    """Looks for the pictures, with their classes, among all objects of the process."""

    name = "pool-reader"

    def answer(self, support: Any, query: Tensor) -> Tensor:
        classes: dict[str, int] = {}
        for pool in gc.get_objects():
            if type(pool) is ClassPool:  # isinstance asks objects that answer with a warning
                for number, images in enumerate(pool.images):
                    name = hash((id(pool), number))
                    classes |= {content(x): name for x in images}
        seen, asked = ((x * 255).round().byte() for x in (support.x, query))
        known = {classes.get(content(x)): y for x, y in zip(seen, support.y, strict=True)}
        found = [known.get(classes.get(content(x), -1), torch.tensor(0)) for x in asked]
        return torch.eye(support.ways)[torch.stack(found)]


class MetricReplacer(Cheat):
    """Replaces the method that scores."""

    name = "metric-replacer"

    def adapt(self, support: Any) -> Any:
        Accuracy.scores = lambda metric, predictions: [1.0] * len(predictions.targets)
        return super().adapt(support)


class SamplerReplacer(Cheat):
    """Replaces the sampler by one that writes each label into the first pixel of the query."""

    name = "sampler-replacer"

    def meta_train(self, tasks: Any) -> None:
        assemble = ClassSampler.assemble
        if not hasattr(assemble, "replaced"):

            def marked(sampler: Any, drawn: Any) -> TaskBatch:
                batch = assemble(sampler, drawn)
                batch.query_x[:, :, 0, 0, 0] = batch.query_y.float()
                return batch

            marked.replaced = True
            ClassSampler.assemble = marked
        for batch in tasks.batches(2):
            tasks.log(batch.query_x.mean())

    def answer(self, support: Any, query: Tensor) -> Tensor:
        label = query[:, 0, 0, 0]
        valid = (label == label.round()) & (label < support.ways)
        return torch.eye(support.ways)[torch.where(valid, label, 0.0).long()]


class Memory(Cheat):
    """Remembers the labels of every test episode by its support set."""

    name = "memory"

    def answer(self, support: Any, query: Tensor) -> Tensor:
        known = json.loads((Path(os.environ[FOLDER]) / "memory.json").read_text())
        labels = known.get(content(support.x), [0] * len(query))
        return torch.eye(support.ways)[torch.tensor(labels)]


class BatchReader(Cheat):
    """Compares each query with the mean of all queries."""

    name = "batch-reader"

    def answer(self, support: Any, query: Tensor) -> Tensor:
        middle = query.flatten(1).mean(0)
        means = support.class_means(support.x.flatten(1)) - middle
        return torch.nn.functional.normalize(query.flatten(1) - middle) @ means.mT


class Hoarder(Cheat):
    """Keeps the pictures of earlier episodes in a buffer, and counts them."""

    name = "hoarder"

    def __init__(self, problem: Any) -> None:
        super().__init__(problem)
        self.register_buffer("seen", torch.zeros(()))

    def answer(self, support: Any, query: Tensor) -> Tensor:
        found = torch.eye(support.ways)[torch.full((len(query),), int(self.seen) % support.ways)]
        self.seen += 1
        return found


class RecordWriter(Cheat):
    """Writes a record of its own to every file descriptor that is open, and to the folder."""

    name = "record-writer"

    def answer(self, support: Any, query: Tensor) -> Tensor:
        record = (Path(os.environ[FOLDER]) / "record.json").read_text()
        line = json.dumps({"phase": "done", "record": json.loads(record)}) + "\n"
        for descriptor in map(int, os.listdir("/proc/self/fd")):
            try:
                if os.readlink(f"/proc/self/fd/{descriptor}").startswith("pipe:"):
                    os.write(descriptor, line.encode())
            except OSError:
                continue
        return super().answer(support, query)


class EventForger(Cheat):
    """Finds the channel to the scorer, and sends a record as the event that ends a cell."""

    name = "event-forger"

    def meta_train(self, tasks: Any) -> None:
        record = json.loads((Path(os.environ[FOLDER]) / "record.json").read_text())
        for one in gc.get_objects():
            if type(one) is Channel:
                one.send("event", {"phase": "done", "record": record})
        for batch in tasks.batches(2):
            tasks.log(batch.query_x.mean())


class SaltReader(Cheat):
    """Looks for the salt in the whole memory of its process, and writes down how often it is."""

    name = "salt-reader"

    def meta_train(self, tasks: Any) -> None:
        folder = Path(os.environ[FOLDER])
        # The salt with each bit of lowest value flipped, and the memory likewise: the search must
        # not find itself.
        masked = (folder / "salt.masked").read_bytes()
        flipped = bytes(b ^ 1 for b in range(256))
        found = 0
        with Path("/proc/self/mem").open("rb") as memory:
            for line in Path("/proc/self/maps").read_text().splitlines():
                place, rights, *_ = line.split()
                start, end = (int(x, 16) for x in place.split("-"))
                if "r" not in rights or "w" not in rights:
                    continue
                try:
                    memory.seek(start)
                    found += memory.read(end - start).translate(flipped).count(masked)
                except OSError:
                    continue
        (folder / "found.json").write_text(json.dumps(found))
        for batch in tasks.batches(2):
            tasks.log(batch.query_x.mean())


class TestOpener(Cheat):
    """Asks the harness for the test split."""

    name = "test-opener"

    def meta_train(self, tasks: Any) -> None:
        for one in gc.get_objects():
            if type(one) is BenchmarkTasks:
                one.pool("test")
        for batch in tasks.batches(2):
            tasks.log(batch.query_x.mean())


@hookimpl
def metabench_algorithms() -> list[type[Algorithm]]:
    return [
        Honest,
        Frames,
        Collector,
        PoolReader,
        MetricReplacer,
        SamplerReplacer,
        Memory,
        BatchReader,
        Hoarder,
        RecordWriter,
        EventForger,
        SaltReader,
        TestOpener,
    ]
