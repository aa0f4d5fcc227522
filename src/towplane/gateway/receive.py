"""First station: what the client asks for, read from a request without understanding its prompt.

The body is decoded once, and only its top level: every value stays as the bytes that came. How a
dialect calls its fields is the dialect's business; which paths there are is decided here.
"""

from collections.abc import Mapping, Sequence

import msgspec

from towplane.parts.errors import BadRequest
from towplane.providers.ask import OPERATIONS, Ask, Operation, read_field
from towplane.providers.dialects import dialect_of

__all__ = ["PATHS", "receive"]

PATHS: dict[bytes, Operation] = {
    f"/v1{operation.path}".encode(): operation for operation in OPERATIONS.values()
}
"""The operations of the serving port."""
_VERSIONS = (b"anthropic-version", b"anthropic-beta")
"""Headers that belong to what is asked for, and go along with it."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])
_text = msgspec.json.Decoder(str)


def receive(operation: Operation, body: Sequence[bytes], headers: Mapping[bytes, bytes]) -> Ask:
    """Read a request's body. Raises BadRequest, naming the parameter."""
    whole = body[0] if len(body) == 1 else b"".join(body)
    try:
        fields = _fields.decode(whole)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise BadRequest(
            f"The body is not a JSON object: {wrong}.", reason="body-invalid"
        ) from None
    except RecursionError:
        raise BadRequest("The body is nested too deeply.", reason="body-invalid") from None
    model = fields.get("model")
    if model is None:
        raise BadRequest("The body names no model.", param="model", reason="model-missing")
    ask = Ask(operation, fields, read_field(_text, model, "model", "a string"))
    prompt = fields.get(operation.prompt)
    # About four bytes of JSON a token: the average of English text with its quotes and roles.
    # An estimate for reservations only; what is billed is measured upstream.
    ask.input_estimate = (len(prompt) + 3) // 4 if prompt is not None else 0
    dialect_of(operation.dialect).note(ask)
    if operation.dialect != "chat":
        ask.version_headers = {name: headers[name] for name in _VERSIONS if name in headers}
    return ask
