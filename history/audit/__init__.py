"""WAS ANYTHING LOST? A log is replayed, and what cannot have happened is named."""
