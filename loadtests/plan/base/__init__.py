"""The base of a change: which commit, which arms, and with which packages. Reads the repository only.
Imported by the rest of `plan`, by `serving` and by `measure`."""
