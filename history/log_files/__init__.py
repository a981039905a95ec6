"""WHICH LINES ARE OURS? Logs of any size and make, as lines."""
