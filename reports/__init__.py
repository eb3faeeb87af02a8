"""What the records mean. Pure, but for the writers; needs nothing but a run directory."""
