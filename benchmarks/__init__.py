"""Measurements of the tool itself and makers of what README shows: run by make targets, not by the tests."""
