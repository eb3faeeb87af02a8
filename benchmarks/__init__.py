"""Measurements of the tool itself, and writers of README's and docs' figures: run by make, not by tests."""
