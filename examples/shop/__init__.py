"""A small shop, before and after."""
