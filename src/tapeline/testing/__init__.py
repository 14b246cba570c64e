"""Conformance suites for people who add parts; they need pytest and hypothesis."""
