"""The score against inner steps and against shots."""
