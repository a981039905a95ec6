"""WHAT A LOG PROVES. Reads logs back: the audit of all that happened, the trace of one job. Writes nothing."""
