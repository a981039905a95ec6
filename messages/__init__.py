"""The vocabulary: frozen values that actors, stores and hosts pass to one another. Standard library only."""
