"""The highest rate of arrivals at which a target holds: where the share of requests that miss it reaches what
is allowed, with its interval. May be imported by all of `reports`."""
