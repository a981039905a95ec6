"""The vocabulary: frozen values that actors, stores and applications pass to one another. Standard library only."""
