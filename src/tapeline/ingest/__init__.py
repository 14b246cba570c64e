"""Ingest: the only driver of sockets. It connects, subscribes, proves, heals and reconnects; others keep and fold."""
