"""Records: one JSON file for each cell that was run."""
