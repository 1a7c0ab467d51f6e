"""Exact measures of a model against the truth of the scenes it was asked for."""
