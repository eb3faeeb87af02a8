"""Reports of runs that searched for the highest rates: terminal, Markdown, page, JSON, progress. May be
imported by `cli.py` and `reports.export`."""
