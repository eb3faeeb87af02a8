"""A small shop, before and after a pull request."""
