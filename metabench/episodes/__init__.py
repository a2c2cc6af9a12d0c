"""Episodes: support and query sets, protocols, samplers, the training stream, augmentation."""

from metabench.episodes.audit import LeakageAudit
from metabench.episodes.class_sampler import ClassSampler
from metabench.episodes.family_sampler import FamilySampler
from metabench.episodes.group_sampler import GroupSampler
from metabench.episodes.protocol import NWayKShot
from metabench.episodes.sampler import Sampler
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
