"""Lamplighter: an embedded, durable job runtime."""
