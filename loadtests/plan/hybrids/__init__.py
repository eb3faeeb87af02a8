"""Arms that are made of two others: how one is written, and the one that the advice of a run makes."""
