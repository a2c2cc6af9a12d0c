"""Algorithms: one file each, readable as its paper."""
