"""An app asked one request at a time, to see which lines hold its event loop, for `duel advise --drive`.
May be imported by `cli.py`."""
