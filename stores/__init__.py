"""WHAT IS TRUE. The only writers of job state."""
