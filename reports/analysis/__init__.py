"""The mathematics and what it says of records: readings, estimates, verdicts, signs, bottlenecks, thresholds.
Lowest room of `reports`: imports `loadtests.records` only, and `statistics` nothing of ours."""
