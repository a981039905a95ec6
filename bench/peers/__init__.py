"""One adapter for each system that is measured, under 60 lines each: base.py says what an adapter is."""
