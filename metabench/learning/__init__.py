"""The loops that algorithms share; plugins may import them."""
