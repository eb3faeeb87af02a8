"""A first locustfile for an app, from what its OpenAPI document lists and what its reads answer.
May be imported by `cli.py`."""
