"""Strangers' files: what they are by their first bytes, and a process of its own for each that is decoded.

    guard.py                          in the service: sniffs, bounds, checks what comes back
    asking.py                         in the service: starts the process below and asks it
    kinds.py, headers.py              first bytes and sizes; plain integers, no decoder
    server.py                         a clean process that forks a child for each file
    child.py, cage.py                 one file: locked in, made plain, reported
    pictures.py, films.py, tracks.py  what is made of it

The service itself unpacks nothing that a stranger sent.
"""

from __future__ import annotations

from kinora.service.guard.guard import Guard, Limits
from kinora.service.guard.job import Plain

__all__ = ["Guard", "Limits", "Plain"]
