"""Facts of a search for the highest rate: which share of a slice's requests missed its target. May be
imported by `loadtests.measure`, and by `reports` through `loadtests.records`."""
