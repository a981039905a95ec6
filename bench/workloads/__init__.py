"""What is measured: `shared` can be done by most systems, the rest asks for what only Lamplighter has."""
