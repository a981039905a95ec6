"""The vocabulary: frozen values that actors, stores and applications exchange. Standard library only."""
