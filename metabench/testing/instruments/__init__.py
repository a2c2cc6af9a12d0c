"""Instruments that observe PyTorch while an algorithm runs: gradients, devices, live tensors."""
