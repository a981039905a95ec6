"""The turn and the readers of a store that keeps its jobs in tables, for SQLite and PostgreSQL."""
