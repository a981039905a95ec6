"""WHAT DO THE LINES COME TO? One replay of the ledger, read by the audit and by the system at an instant."""
