"""Every error Kinora raises on purpose.

    KinoraError
    ├── InputError (also a ValueError)   the caller's to mend; the command line exits with 2
    │   ├── PromptError                  empty, too long, not text
    │   ├── ShapeError                   sizes and lengths that no grid can hold
    │   └── OutputError                  where a file should go: exists, unwritable, no room
    ├── WeightsError                     a model on disk is missing, damaged or of another version
    ├── MediaError                       a film or picture cannot be read or written
    ├── MemoryShortage                   no way of placing a model leaves room for the film
    └── Cancelled                        the user asked to stop; the command line exits with 130

A message names the value, the rule it broke and the remedy.
"""

from __future__ import annotations

__all__ = [
    "Cancelled",
    "InputError",
    "KinoraError",
    "MediaError",
    "MemoryShortage",
    "OutputError",
    "PromptError",
    "ShapeError",
    "WeightsError",
]


class KinoraError(Exception):
    """Root of the errors that carry a sentence for the user."""


class InputError(KinoraError, ValueError):
    """The caller asked for something that cannot be; the message says what can."""


class PromptError(InputError):
    """The prompt is empty, too long or not text."""


class ShapeError(InputError):
    """A size or length that the codec's grid cannot hold."""


class OutputError(InputError):
    """The result has nowhere to go: the file exists, or its place cannot be written."""


class WeightsError(KinoraError):
    """A model on disk is missing, damaged, or belongs to another version."""


class MediaError(KinoraError):
    """A film or picture cannot be read or written."""


class MemoryShortage(KinoraError):
    """There is less memory than the film needs, however the model is placed."""


class Cancelled(KinoraError):
    """The user asked to stop."""
