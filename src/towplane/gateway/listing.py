"""What the serving port answers by itself: the models of a key, OPTIONS, and wrong paths."""

from typing import TYPE_CHECKING

import msgspec

from towplane.gateway.receive import PATHS
from towplane.parts.errors import BadRequest, NotFound

if TYPE_CHECKING:
    from towplane.gateway.exchange import Exchange

_MODELS = b"/v1/models"
_JSON = b"content-type: application/json\r\n"


class _Model(msgspec.Struct):
    id: str
    created: int
    owned_by: str
    object: str = "model"


class _List(msgspec.Struct):
    data: list[_Model]
    object: str = "list"


def answer(x: "Exchange") -> None:
    """Answer a request that is not for a target. Raises NotFound or BadRequest."""
    path, method = x.request.path(), x.request.method
    allowed = _allowed(path)
    if method == b"OPTIONS":
        x.answer(204, b"allow: %b\r\n" % allowed, b"")
        return
    if method not in allowed.split(b", "):
        raise BadRequest(
            f"{path.decode('ascii', 'replace')} takes {allowed.decode()}.",
            reason="method-not-allowed",
        )
    x.caller = x.connection.identify(x.request.fields)
    models = [
        _Model(name, int(x.hall.loaded_at), x.hall.plane)
        for name in x.hall.routes
        if x.hall.may_use(x.caller, name)
    ]
    if path == _MODELS:
        x.answer(200, _JSON, msgspec.json.encode(_List(models)))
        return
    wanted = path.removeprefix(_MODELS + b"/").decode("ascii", "replace")
    for model in models:
        if model.id == wanted:
            x.answer(200, _JSON, msgspec.json.encode(model))
            return
    raise NotFound(f"The model `{wanted[:200]}` does not exist.", reason="model-unknown")


def _allowed(path: bytes) -> bytes:
    if path in PATHS:
        return b"POST, OPTIONS"
    if path == _MODELS or path.startswith(_MODELS + b"/"):
        return b"GET, HEAD, OPTIONS"
    if path == b"*":
        return b"GET, HEAD, POST, OPTIONS"
    raise NotFound(
        f"There is nothing at {path[:200].decode('ascii', 'replace')}.",
        next_step="The serving port offers /v1/chat/completions, /v1/completions, /v1/embeddings "
        "and /v1/models.",
        reason="path-unknown",
    )
