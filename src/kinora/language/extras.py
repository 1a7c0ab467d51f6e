"""Packages that only published weights need, fetched when they are used and missed by name."""

from __future__ import annotations

import importlib
from types import ModuleType

from kinora.core.errors import WeightsError

__all__ = ["extra_package"]


def extra_package(name: str, purpose: str) -> ModuleType:
    """The package of that name; raises `WeightsError`, saying what it is wanted for, where it is not installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise WeightsError(
            f"{purpose} needs the package {name}, which cannot be imported ({error}). "
            "Install what published weights need: pip install 'kinora[wan]'"
        ) from error
