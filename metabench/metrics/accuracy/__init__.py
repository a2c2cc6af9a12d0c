"""Accuracy of a classifier, with its calibration and likelihood."""
