"""Venues, without input or output: bytes in, types out; no file, no socket, no clock."""
