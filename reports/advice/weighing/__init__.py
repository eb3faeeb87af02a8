"""What a card weighs beside throughput: what neighbours wait, what a request costs, tasks that pile up.
Imports `analysis` and the rule; may be imported by `advice` and what is above it."""
