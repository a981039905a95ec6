"""WHAT IS GOING ON? Looks at a store from outside of any runtime, and says in words why something waits."""
