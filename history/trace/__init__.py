"""WHAT HAPPENED? What became of a job, and the system at an instant, in sentences."""
