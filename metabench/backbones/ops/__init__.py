"""Functions with hand-written derivatives that the backbones use."""
