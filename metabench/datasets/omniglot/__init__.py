"""Omniglot: 1623 handwritten characters of 50 alphabets, each drawn by 20 people."""

from metabench.datasets.omniglot.dataset import Omniglot

__all__ = ["Omniglot"]
