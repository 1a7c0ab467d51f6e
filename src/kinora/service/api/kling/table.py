"""All of the family's paths as one route. They are many, with their aliases: tried one after another they would cost
every request of the service milliseconds, looked up they cost microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from fastapi import Request, Response
from starlette.datastructures import URLPath
from starlette.routing import BaseRoute, Match, NoMatchFound
from starlette.types import Receive, Scope, Send

from kinora.service.api.kling.calling import Act, answer
from kinora.service.api.kling.envelope import KlingRoute
from kinora.service.api.routes import respond
from kinora.service.errors import Missing

__all__ = ["Paths", "Table", "answered"]

Paths = Mapping[str, Mapping[str, Act]]
"""Path -> method -> what is done. A path may end in one parameter: `/tasks/{task_id}`."""
ALIASES = ("/proxy/kling", "/kling")


class Table(BaseRoute):
    """The route. `legacy` has paths below `/v1`, `standard` those at the root; `shared` are methods and paths of the
    bare `/v1` that another format takes.
    """

    path: ClassVar[str] = ""
    methods: ClassVar[frozenset[str]] = frozenset()
    param_convertors: ClassVar[Mapping[str, object]] = {}

    def __init__(self, legacy: Paths, standard: Paths, shared: frozenset[tuple[str, str]]) -> None:
        paths = {f"/v1{path}": acts for path, acts in legacy.items()} | dict(standard)
        self._fixed = {path: acts for path, acts in paths.items() if "{" not in path}
        self._open = {path.partition("/{")[0]: (path, acts) for path, acts in paths.items() if "{" in path}
        self._shared = shared

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether the path is one of the family's, whatever the method: others are refused in its shape."""
        if scope["type"] != "http":
            return Match.NONE, {}
        path, method = scope["path"], scope["method"]
        if (method, path) in self._shared:
            return Match.NONE, {}
        alias = next((alias for alias in ALIASES if path.startswith(f"{alias}/")), "")
        path = path.removeprefix(alias)
        acts, parameters, route = self._fixed.get(path), {}, path
        if acts is None:
            route, _, last = path.rpartition("/")
            if route not in self._open or not last:
                return Match.NONE, {}
            full, acts = self._open[route]
            parameters = {full.rpartition("{")[2].rstrip("}"): last}
        told = (route.removeprefix("/v1"), method, acts)
        return Match.FULL, {"endpoint": self, "path_params": parameters, "kling": told}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        route, method, acts = scope["kling"]
        request = Request(scope, receive)
        if method in acts:
            response = await answered(request, route, acts[method])
        else:
            taken = " or ".join(acts)
            wrong = Missing(f"This path does not take {method}; it takes {taken}.", status=405)
            response = respond(KlingRoute, wrong, request)
        await response(scope, receive, send)

    def url_path_for(self, name: str, /, **path_params: object) -> URLPath:
        """The table's paths have no names."""
        raise NoMatchFound(name, path_params)


async def answered(request: Request, route: str, act: Act) -> Response:
    """What an act comes to, its errors in the family's shape."""
    try:
        return await answer(request, route, act)
    except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and told without a traceback
        return respond(KlingRoute, error, request)
