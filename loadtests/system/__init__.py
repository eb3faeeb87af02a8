"""This machine and its processes: children, CPU placement and accounting, fingerprint, the lock of one run.
May be imported by `serving` and `measure`."""
