"""WHICH LINES ARE OURS? Logs of any size and make, as lines. A log that cannot be read is a UsageError."""
