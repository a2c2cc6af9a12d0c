"""Tuning: the same random search over hyper-parameters for every algorithm.

A trial is a cell of :meth:`~metabench.benchmarks.model.Benchmark.for_tuning`, which has a part of
the budget and is scored on meta-validation. Meta-test is not touched.
"""
