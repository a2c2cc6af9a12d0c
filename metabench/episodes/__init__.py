"""Episodes: drawn by counter, frozen without being stored."""

from metabench.episodes.audit import LeakageAudit
from metabench.episodes.groups import GroupSampler
from metabench.episodes.protocol import NWayKShot
from metabench.episodes.sampler import ClassSampler, FamilySampler, Sampler
from metabench.episodes.stream import TaskStream
from metabench.episodes.types import Support, Task, TaskBatch

__all__ = [
    "ClassSampler",
    "FamilySampler",
    "GroupSampler",
    "LeakageAudit",
    "NWayKShot",
    "Sampler",
    "Support",
    "Task",
    "TaskBatch",
    "TaskStream",
]
