"""WHAT HOLDS EVERYWHERE: pure decisions and checks. No I/O, no threads, no clock."""
