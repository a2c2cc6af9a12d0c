"""metabench: the benchmark suite for meta-learning.

The public names are imported on first use, so that ``import metabench`` is instant and the command
line answers ``--help`` without importing torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from metabench.utils.lazy import lazy_names

__version__ = "0.1.0"

_HOME = {
    "ANIL": "metabench.algorithms.anil",
    "Algorithm": "metabench.algorithms.base",
    "Backbone": "metabench.backbones.base",
    "ClassDataset": "metabench.datasets.base",
    "ClassPool": "metabench.datasets.base",
    "Executor": "metabench.executors.base",
    "FOMAML": "metabench.algorithms.fomaml",
    "Job": "metabench.running.job",
    "MAML": "metabench.algorithms.maml",
    "MetaSGD": "metabench.algorithms.meta_sgd",
    "Metric": "metabench.metrics.base",
    "MetabenchError": "metabench.errors",
    "NotApplicable": "metabench.errors",
    "Predictor": "metabench.algorithms.base",
    "Problem": "metabench.algorithms.problem",
    "ProtoNet": "metabench.algorithms.protonet",
    "Results": "metabench.api",
    "Spec": "metabench.registry",
    "Support": "metabench.episodes",
    "TaskBatch": "metabench.episodes",
    "TaskByTask": "metabench.learning.task_by_task",
    "TaskFamily": "metabench.datasets.base",
    "TaskStream": "metabench.episodes",
    "describe_library": "metabench.runtime.provenance",
    "hookimpl": "metabench.hookspecs",
    "load_results": "metabench.api",
    "run": "metabench.api",
}

__getattr__ = lazy_names(__name__, _HOME)

__all__ = ["__version__", *sorted(_HOME)]  # noqa: PLE0604, RUF100

if TYPE_CHECKING:
    from metabench.algorithms.anil import ANIL as ANIL
    from metabench.algorithms.base import Algorithm as Algorithm
    from metabench.algorithms.base import Predictor as Predictor
    from metabench.algorithms.fomaml import FOMAML as FOMAML
    from metabench.algorithms.maml import MAML as MAML
    from metabench.algorithms.meta_sgd import MetaSGD as MetaSGD
    from metabench.algorithms.problem import Problem as Problem
    from metabench.algorithms.protonet import ProtoNet as ProtoNet
    from metabench.api import Results as Results
    from metabench.api import load_results as load_results
    from metabench.api import run as run
    from metabench.backbones.base import Backbone as Backbone
    from metabench.datasets.base import ClassDataset as ClassDataset
    from metabench.datasets.base import ClassPool as ClassPool
    from metabench.datasets.base import TaskFamily as TaskFamily
    from metabench.episodes import Support as Support
    from metabench.episodes import TaskBatch as TaskBatch
    from metabench.episodes import TaskStream as TaskStream
    from metabench.errors import MetabenchError as MetabenchError
    from metabench.errors import NotApplicable as NotApplicable
    from metabench.executors.base import Executor as Executor
    from metabench.hookspecs import hookimpl as hookimpl
    from metabench.learning.task_by_task import TaskByTask as TaskByTask
    from metabench.metrics.base import Metric as Metric
    from metabench.registry import Spec as Spec
    from metabench.running.job import Job as Job
    from metabench.runtime.provenance import describe_library as describe_library


def __dir__() -> list[str]:
    return __all__
