"""The load generator's process, and the only home of gevent and Locust: started, never imported
(but by users' own locustfiles). Imports `plan` and `records` only."""
