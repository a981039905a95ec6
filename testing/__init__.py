"""The published test kit: what a host needs to test its jobs without waiting, and to break what they rest on."""
