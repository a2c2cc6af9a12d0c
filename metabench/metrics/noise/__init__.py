"""Robustness to noise: wrong support labels, corrupted images, noisy targets and inputs."""
