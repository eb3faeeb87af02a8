"""Whether work piles up while requests are answered: what an app's queues and pools hold, and the account of
CPU time. Imported by the rest of `reports.analysis`."""
