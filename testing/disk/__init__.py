"""A disk in memory that loses its power."""
