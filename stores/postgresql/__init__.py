"""The store that keeps jobs in the tables of a PostgreSQL, for many machines."""
