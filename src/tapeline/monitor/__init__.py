"""Monitors: what tells that a model, a feature or a price is not what it was. Each is tested on planted faults."""
