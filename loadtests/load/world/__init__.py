"""A trial's own world: a process forked for it, the locustfile loaded again, its options and its events.
Imported by `loadtests.load`; imports `loadtests.load.user_files` and `loadtests.load.scenarios`."""
