"""WHAT IS TRUE, IN ONE FILE. The store on SQLite."""
