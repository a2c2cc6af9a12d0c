"""Recipes: named hyper-parameters of an algorithm by kind of benchmark, as TOML.

``NAME.toml`` in this folder holds the recipes of the algorithm NAME; ``docs/algorithms/recipes.md``
describes the format. Nothing here imports torch, so that listing recipes is fast.
"""
