"""How reports call the endpoints of a scenario. May be imported by all of `reports`."""
