"""What a plan can conclude, said before any load, and how long it takes, corrected while it is carried out.
Imported by `loadtests.measure` and the command line."""
