"""Lamplighter inside of web frameworks. Each part needs the extra of its name, and nothing else imports it."""
