"""One file for each simulated venue; a module with a ``VENUE`` is found by its name."""
