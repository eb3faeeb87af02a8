"""What failed: the kinds of failed requests, and arms that fail whatever disturbed their measurement.
Imported by the rest of `reports`."""
