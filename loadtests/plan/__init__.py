"""What will be measured: arms, cells, loads, profiles, settings, and the plan that is made of them.
Lowest layer: may be imported anywhere; of our packages it imports only `loadtests.errors`."""
