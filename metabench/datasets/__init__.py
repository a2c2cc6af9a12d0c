"""Data sets: one module or package each, with the base classes, downloads and caches they share."""

from metabench.datasets.base import ClassDataset, ClassPool, Split, TaskFamily

__all__ = ["ClassDataset", "ClassPool", "Split", "TaskFamily"]
