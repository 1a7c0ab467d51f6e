"""The public surface, pinned: a change here is a change for users."""

from __future__ import annotations

import importlib
import pkgutil
import tomllib
from pathlib import Path

import pytest

import kinora

ROOT = Path(__file__).parents[2]
MODULES = sorted(module.name for module in pkgutil.walk_packages(kinora.__path__, "kinora."))


def test_kinora_offers_this_and_no_more() -> None:
    assert kinora.__all__ == ["Clip", "Pipeline", "Request", "__version__", "load"]
    for name in kinora.__all__:
        assert getattr(kinora, name) is not None
    with pytest.raises(AttributeError, match="Film"):
        kinora.Film  # noqa: B018


def test_the_version_is_the_package_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert kinora.__version__ == project["version"]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_offers_and_has_it(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__ or Path(str(module.__file__)).stat().st_size == 0, "a module says what it is for"
    for offered in getattr(module, "__all__", []):
        assert hasattr(module, offered), offered


def test_every_layer_is_in_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["id"] == "layers")
    named = {name.strip() for layer in layers for name in layer.split("|")}
    packages = {path.parent.name for path in (ROOT / "src" / "kinora").glob("*/__init__.py")}
    assert packages == named
