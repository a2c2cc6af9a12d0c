"""Metrics: what is measured on a trained algorithm, one module or package per family.

* ``accuracy``, ``mse``: the score that ranks; calibration, likelihood, the worst episodes
* ``adaptation``: score by inner steps and by shots, and how fast it rises
* ``noise``: score lost to wrong labels and to corrupted inputs
* ``adversarial``: score under attacks on queries, on supports, and by poisoning
* ``shift``: score lost under rotation, scaling, inversion, within groups and on other data sets
* ``transduction``: whether queries influence each other's predictions
* ``cost``: time, memory, FLOPs, energy

``base`` defines a metric, ``trial`` what it is measured on, and ``measure`` measures one.
"""
