"""The ways to know a function well enough to shift lines to it, tightest first, one class each.

Source: Kern, Antal, Ábráham, Sinz, SLiR, arXiv 2606.20292.
"""
