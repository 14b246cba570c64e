"""Drivers of the pipeline: the same fold, other plumbing."""
