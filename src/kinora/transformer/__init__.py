"""Module 2, the spatio-temporal transformer."""
