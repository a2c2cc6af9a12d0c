"""Accuracy, calibration and likelihood of a classifier."""
