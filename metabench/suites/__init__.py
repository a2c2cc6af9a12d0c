"""Suites and the benchmarks that they list, as TOML files beside this one."""
