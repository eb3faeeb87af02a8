"""Gates in words: base against head in one run, and run against run.
May be imported by the rest of `wording`, `render` and `export`."""
