"""Checkpoint folders: where they come from, and the one way to load them."""
