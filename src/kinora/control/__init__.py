"""Conditions: each a small file that maps a latent state and encoded inputs to a latent state."""
