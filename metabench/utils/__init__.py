"""Helpers that know nothing of meta-learning."""
