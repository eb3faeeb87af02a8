"""The lean HTTP client of our Locust users, and its connections.
Imported by `loadtests.load.users`; imports none of our packages."""
