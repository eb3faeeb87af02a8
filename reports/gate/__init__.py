"""Base against head: within one run, run against run, against a stored baseline.
Imports `analysis`."""
