"""The simulated venue: a seeded market, for demonstrations, tests and benches. Its numbers are never real ones."""
