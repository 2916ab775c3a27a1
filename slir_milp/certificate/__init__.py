"""Proofs: what a verdict rests on, written while the search runs, and the checker of it."""
