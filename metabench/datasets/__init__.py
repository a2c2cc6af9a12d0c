"""Data sets: one file each."""

from metabench.datasets.base import ClassDataset, ClassPool, Split, TaskFamily

__all__ = ["ClassDataset", "ClassPool", "Split", "TaskFamily"]
