"""One trial: its server beside those of the other arms of its round, its load, its record.
Imported by `loadtests.measure`."""
