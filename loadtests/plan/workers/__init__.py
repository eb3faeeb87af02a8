"""How load generators on other machines join a run: where, with which secret, and for which users. May be
imported by everything in `loadtests`."""
