"""Backbones, one file each; functions with hand-written derivatives in :mod:`.ops`."""
