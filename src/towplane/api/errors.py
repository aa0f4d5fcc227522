"""Errors of the admin port as JSON, with the status that `parts.errors.CODES` gives them.

A door: what is not a `PlaneError` is a fault of ours, logged whole and shown without its insides.
"""

import logging

import msgspec
from msgspec import Struct, field
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from towplane.parts.errors import CODES, PlaneError

__all__ = ["ErrorAnswer", "ErrorBody", "answer_error", "answer_fault", "answer_http", "say_error"]

_log = logging.getLogger("towplane.api")

_CODE_OF_STATUS = {400: "bad_request", 404: "not_found", 405: "bad_request", 413: "too_large"}


class ErrorBody(Struct, kw_only=True):
    """What happened, and what to do next."""

    code: str
    message: str
    next_step: str = field(name="next", default="")


class ErrorAnswer(Struct, kw_only=True):
    """Every answer of the admin API that is not a success."""

    error: ErrorBody


def say_error(
    code: str, message: str, next_step: str = "", *, status: int | None = None
) -> Response:
    """The answer for a code of the table."""
    body = ErrorAnswer(error=ErrorBody(code=code, message=message, next_step=next_step))
    return Response(
        msgspec.json.encode(body),
        status_code=status or CODES[code][0],
        media_type="application/json",
    )


async def answer_error(_: Request, error: Exception) -> Response:
    """A PlaneError, as the caller sees it."""
    assert isinstance(error, PlaneError)
    return say_error(error.code, error.say, error.next_step)


async def answer_http(_: Request, error: Exception) -> Response:
    """What Starlette itself refuses: no such path, no such method."""
    assert isinstance(error, HTTPException)
    code = _CODE_OF_STATUS.get(error.status_code, "error")
    next_step = "see /api/v1/openapi.json for what there is" if code == "not_found" else ""
    answer = say_error(code, error.detail, next_step, status=error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def answer_fault(_: Request, error: Exception) -> Response:
    """A bug of ours: logged whole, shown without its insides."""
    _log.error("the admin port failed", exc_info=error)
    return say_error(
        "error", "the plane failed to answer this", "see the plane's log, then report it"
    )
