"""What comes with a file: its bytes, counted as they arrive, and a name, which is only ever a label."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from kinora.service.errors import Invalid

__all__ = ["SUFFIXES", "disposition", "label", "receive"]

LONGEST = 120
"""Characters of a label; file systems and headers allow twice as much."""
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "video/mp4": ".mp4",
    "audio/wav": ".wav",
    "application/json": ".json",
}
"""The ending of a stored file's name, by what the file is."""
DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)", re.IGNORECASE)
"""Names that Windows takes for devices, whatever follows their first dot."""
DOTS = dict.fromkeys(map(ord, "․‥…。．｡·"), ".")
"""Letters that look like dots, or become some when a system normalises names."""
SLASHES = re.compile(r"[/\\∕⁄⧸／＼⧵﹨⟋:]")
UNFIT = re.compile(r"[^\w .()+=,@&!'\[\]-]")


def receive(chunks: Iterable[bytes], into: Path, limit: int) -> int:
    """Write the chunks to a new file and return their bytes; raises `Invalid` once they are more than `limit`, and then
    nothing is left of them.
    """
    count = 0
    with into.open("xb") as file:
        try:
            for chunk in chunks:
                count += len(chunk)
                if count > limit:
                    raise Invalid(f"The file has more than {limit / 2**20:g} MB, which is the most. Make it smaller.")
                file.write(chunk)
        except BaseException:
            into.unlink()
            raise
    return count


def label(name: str, media_type: str) -> str:
    """What a file is called when it is shown or saved: the last part of the client's name without what any system reads
    as a place, a device, a command or an ending of another kind.
    """
    plain = unicodedata.normalize("NFC", name.encode("utf-8", "replace").decode("utf-8"))
    last = SLASHES.split(plain.translate(DOTS))[-1]
    stem = UNFIT.sub("_", last.rpartition(".")[0] or last).replace(".", "_").strip(" _'-")[:LONGEST].rstrip(" _'-")
    if not stem or DEVICES.fullmatch(stem.split("_")[0].strip()):
        stem = f"file_{stem}".rstrip("_")
    return stem + SUFFIXES.get(media_type, ".bin")


def disposition(name: str, *, shown: bool) -> str:
    """A Content-Disposition with the name in both its forms (RFC 6266, RFC 8187)."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    simple = re.sub(r"[^\w .()+=,@&!\[\]-]", "_", ascii_only, flags=re.ASCII)
    return f"{'inline' if shown else 'attachment'}; filename=\"{simple}\"; filename*=UTF-8''{quote(name, safe='')}"
