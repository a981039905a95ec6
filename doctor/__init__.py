"""WHAT IS WRONG, AND WHAT TO DO. Checks a store and who works on it. It only looks."""
