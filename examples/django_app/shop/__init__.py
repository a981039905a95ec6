"""Orders, and the jobs that belong to them."""
