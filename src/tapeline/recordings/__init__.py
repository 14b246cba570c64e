"""Recorded files: one module a format, each found by itself because it holds a `RECORDING`. See `recordings.base`."""
