"""The figures of each endpoint of a mixture. May be imported by all of `reports`."""
