"""What a published file says of where it comes from: the AIGC field, and C2PA credentials over all of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import NamedTemporaryFile

from kinora.core.errors import MediaError
from kinora.media.aigc import Aigc, aigc_field, embed, read_aigc, write_aigc
from kinora.media.credentials import Credentials, Signer, read_credentials
from kinora.media.output import whole_file

__all__ = ["Aigc", "Credentials", "Signer", "aigc_field", "finish_file", "read_aigc", "read_credentials", "write_aigc"]


def finish_file(source: Path, into: Path, *, title: str, aigc: Aigc, signer: Signer | None) -> None:
    """From an encoded film or picture to the one that is published, at `into` (which may be `source`).

    A file that carries the same AIGC field from its making keeps it. Raises `MediaError` when the file carries another
    one or cannot be finished, `OutputError` when `into` cannot be written; then `into` is as it was.
    """
    found = read_aigc(source)
    if found is not None and found != aigc:
        raise MediaError(f"{source} carries the AIGC field of {found.produce_id!r}; a field is never replaced.")
    with whole_file(into, force=True) as part, NamedTemporaryFile(dir=into.parent, prefix=".kinora-") as beside:
        noted = source
        if found is None:
            noted = part if signer is None else Path(beside.name)
            embed(source, noted, aigc)
        if signer is not None:
            signer.sign_to(noted, part, title=title, produce_id=aigc.produce_id, producer=aigc.producer)
        elif noted == source:
            shutil.copyfile(source, part)
