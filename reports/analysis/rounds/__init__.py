"""What the rounds of a cell can show: how many are needed, and whether their figures agree. Imported by the
rest of `reports.analysis`."""
