"""What to write and what to bear in mind: cards and caveats of a run, findings for an app without load.
Imports `analysis`; may be imported by `conclusions`, `wording` and what is above them."""
