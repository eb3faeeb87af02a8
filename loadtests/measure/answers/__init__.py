"""Whether the arms answer alike, found before any load: the twins byte for byte on a fixed set of requests,
other apps on what their scenarios request. Imported by `rounds` and `preflight`."""
