from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

RUNNING = Path(__file__).parent / "running.py"


def _module():
    """`running.py`, which test folders that are no packages cannot import by name."""
    name = "kinora_tests_running"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, RUNNING)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def runners():
    return _module()


@pytest.fixture(scope="session")
def idle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A service without a worker."""
    with _module().IDLE.use(tmp_path_factory.mktemp("idle")) as made:
        yield made


@pytest.fixture(scope="session")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[object]:
    """A service with a worker."""
    with _module().BUSY.use(tmp_path_factory.mktemp("busy")) as made:
        yield made


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
