"""Hashbase on Lamplighter: the reference host. README.md says where each part of the seed document is."""
