"""Benchmarks and suites: their model, the TOML files that ship, and the data behind them."""
