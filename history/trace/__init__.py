"""WHAT HAPPENED? The life of a job, and the system at an instant, in sentences."""
