"""What a card weighs beside throughput: what neighbours wait, what a request costs, work left behind. Imports
`analysis`; may be imported by `advice` and what is above it."""
