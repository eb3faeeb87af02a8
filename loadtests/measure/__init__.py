"""The experiment: rounds, trials, calibration, validity, equality of answers.
Top layer: imported by `cli`, and by Python users through the public names of `loadtests`."""
