"""OpenAPI of the admin API, made from the table of endpoints and the structs of the read model."""

import re
from http import HTTPStatus
from typing import Any

import msgspec
from msgspec import Struct

from towplane.api.endpoints import ENDPOINTS, Endpoint
from towplane.api.errors import ErrorAnswer
from towplane.api.tenant_views import Download
from towplane.parts.errors import CODES
from towplane.tenants.export.write import MEDIA_TYPES

__all__ = ["BASE", "openapi"]

BASE = "/api/v1"

_EVERYWHERE = ("bad_request", "unauthorised", "not_allowed", "error")


def openapi(version: str) -> dict[str, Any]:
    """The whole description, OpenAPI 3.1."""
    types: list[type[Struct]] = [ErrorAnswer]
    for endpoint in ENDPOINTS:
        types += [t for t in (endpoint.answer, endpoint.body) if t not in (None, Download)]
    _, schemas = msgspec.json.schema_components(types, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        methods = paths.setdefault(BASE + endpoint.path, {})
        methods[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "towplane admin API",
            "version": version,
            "description": "What the command line shows, over HTTP. Money is in whole "
            "nano-dollars; moments are ISO 8601, UTC; unknown is null, never 0.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "`admin.token` of the document; not needed on loopback "
                    "when none is set.",
                }
            },
        },
        "security": [{"token": []}, {}],
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.handle.__name__.strip("_"),
        "summary": endpoint.summary,
        "tags": [endpoint.path.split("/")[1]],
        "parameters": [*_path_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        operation["requestBody"] = {"required": True, "content": _json(endpoint.body)}
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = msgspec.json.schema_components([endpoint.query])[1][endpoint.query.__name__]
    return [
        {"name": name, "in": "query", "required": False, "schema": form}
        for name, form in schema["properties"].items()
    ]


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    done = str(endpoint.status)
    content = _files() if endpoint.answer is Download else _json(endpoint.answer)
    found = {done: {"description": endpoint.summary, "content": content}}
    for code in (*_EVERYWHERE, *endpoint.fails):
        status = CODES[code][0]
        found[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": _json(ErrorAnswer),
        }
    return found


def _files() -> dict[str, Any]:
    kinds = (kind.partition(";")[0] for kind in MEDIA_TYPES.values())
    return {kind: {"schema": {"type": "string", "format": "binary"}} for kind in kinds}


def _json(kind: type[Struct]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
