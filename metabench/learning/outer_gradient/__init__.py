"""The gradient of an outer loss, by the engine that suits the machine."""
