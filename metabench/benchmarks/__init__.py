"""Benchmarks and suites: their model, the TOML files that ship, and their episodes."""
