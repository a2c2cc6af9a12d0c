"""The process and the machine: random numbers, timing, memory, energy, precision, provenance."""
