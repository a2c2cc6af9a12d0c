"""Robustness to wrong labels and corrupted inputs."""
