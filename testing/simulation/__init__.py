"""Days of virtual time and whatever faults one asks for, on one thread."""
