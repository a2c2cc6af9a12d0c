"""The gradient of the mean outer loss, computed by the engine that suits the machine.

========================  =====================================================================
:mod:`.select`            :class:`OuterGradient`, which chooses an engine for the shape of batches
:mod:`.shard`             a shard of an outer step's tasks and its contribution to the gradient
:mod:`.shared`            processes that share the tasks of an outer step on a CPU
:mod:`.cuda_graph`        an outer step as one CUDA graph (experimental)
========================  =====================================================================
"""

from metabench.learning.outer_gradient.select import OuterGradient

__all__ = ["OuterGradient"]
