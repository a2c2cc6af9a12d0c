"""The type of a hyper-parameter, a setting and a fact of the environment."""

from __future__ import annotations

Value = bool | int | float | str
"""A scalar that JSON and TOML can hold."""
