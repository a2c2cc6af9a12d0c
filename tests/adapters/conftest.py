"""Adapters are plugins of their own: where they are not installed, their tests are skipped."""
