"""The table of settings in `docs/operations.md`: `python -m kinora.service.describe_settings docs/operations.md` writes
it between its marks, and with `--check` says whether it stands there as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from kinora.core.errors import InputError
from kinora.service.settings import Settings

__all__ = ["main", "placed", "table"]

BEGIN, END = "<!-- settings -->", "<!-- end of settings -->"
DATA = "~/.local/share/kinora/service"


def table() -> str:
    """Every setting: its variable, default and what it says."""
    lines = ["| variable | default | what |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        what = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{variable_of(name, field)}` | {_default(name, field)} | {what} |")
    return "\n".join(lines)


def variable_of(name: str, field: FieldInfo) -> str:
    """The environment variable of a setting."""
    alias = field.validation_alias or field.alias
    prefix = str(Settings.model_config.get("env_prefix", ""))
    return alias if isinstance(alias, str) else f"{prefix}{name}".upper()


def placed(text: str) -> str:
    """A page with the table of today between its marks; raises `InputError` where these are missing."""
    before, begun, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        raise InputError(f"The page has no marks {BEGIN} and {END}; put them where the table is to stand.")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write or check; the result is the exit code."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    check = "--check" in told
    for path in (Path(name) for name in told if name != "--check"):
        text = path.read_text(encoding="utf-8")
        new = placed(text)
        if new == text:
            continue
        if check:
            print(
                f"{path} does not tell the settings as they are; write it without --check.",
                file=sys.stderr,
            )
            return 1
        path.write_text(new, encoding="utf-8")
    return 0


def _default(name: str, field: FieldInfo) -> str:
    if name == "data":
        return f"`{DATA}`"
    value: Any = field.default
    if value is None or value == "":
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


if __name__ == "__main__":
    sys.exit(main())
