"""Arms that are made of two others, and how they are written."""
