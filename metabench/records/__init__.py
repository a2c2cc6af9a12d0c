"""Records: their schema, their files, and which of them may be compared."""
