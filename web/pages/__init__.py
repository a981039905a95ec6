"""The pages, a module each: what they read, and what they have done."""
