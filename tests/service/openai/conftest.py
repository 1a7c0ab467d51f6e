from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest


@pytest.fixture
def client_of() -> Iterator[Callable[..., object]]:
    """OpenAI's own client of a service, for a new account."""
    from openai import OpenAI

    opened = []

    def make(served, *, prefix: str = "/v1", account=None, key: str | None = None, **values):
        account = account or served.account()
        told = {"max_retries": 0, **values}
        opened.append(OpenAI(base_url=served.url + prefix, api_key=key or served.key(account), **told))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def picture() -> bytes:
    """A PNG, wider than high."""
    import io

    import numpy as np
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
