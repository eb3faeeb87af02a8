"""The only package in which figures become words, in one vocabulary.
Imports `analysis`, `advice`, `gate` and `conclusions`; may be imported by `render` and `export`."""
