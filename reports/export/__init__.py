"""What other programs read: JUnit, GitHub, trackers, baselines.
Imported by `cli`."""
