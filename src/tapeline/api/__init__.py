"""The HTTP API: what is stored, streams, the routes of the reference systems, and the page; FastAPI."""
