"""The built-in formats of a leaderboard."""

from metabench.builtins import metabench_formats

FORMATS = [spec.name for spec in metabench_formats()]
