"""What a search for the highest rate of arrivals is to find: a target that must hold, and how precisely.
May be imported by everything in `loadtests`; by `reports` as a plan type."""
