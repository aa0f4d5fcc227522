"""Features of what goes wrong: in the words of the client's dialect, as the class of error that its
official client has for it. And what a client that leaves stops."""

import time
from typing import Any

from towplane.testing.conversation.scene import Scene
from towplane.testing.conversation.stage import DENIED
from towplane.testing.conversation.talk import Options
from towplane.testing.conversation.upstreams import Act
from towplane.testing.plane import wait_until

__all__ = ["break_off", "cancel", "context", "denied", "limited", "missing", "overloaded", "server"]

_AFTER_MS = 60


def context(scene: Scene) -> None:
    """Too long a prompt is the caller's to shorten, said in the words that clients look for."""
    error = _fail(scene, Act(fails="context"), "BadRequestError")
    if scene.dialect == "messages":
        assert "prompt is too long" in str(error)
    else:
        assert error.code == "context_length_exceeded"


def denied(scene: Scene) -> None:
    """The plane's own credential is refused: the client must not think that its key was."""
    talk = scene.talk(DENIED)
    try:
        talk.say("Hello there")
    except talk.errors.InternalServerError as error:
        assert error.status_code == 502  # noqa: PT017  # the class is checked, too
        assert "a-wrong-key-0001" not in str(error)  # noqa: PT017
    else:
        raise AssertionError("it was answered")


def limited(scene: Scene) -> None:
    """A 429 is one, says when to come back, and the client that waits so long is answered."""
    act = Act(fails="limited", after_ms=_AFTER_MS if scene.up.is_hinting else 0)
    error = _fail(scene, act, "RateLimitError")
    if not scene.up.is_hinting:
        return
    told = error.response.headers
    assert "retry-after-ms" in told or "retry-after" in told
    time.sleep(_AFTER_MS / 1000)
    scene.up.play(Act())
    scene.up.play(act, once=True)
    began = time.monotonic()
    answer = scene.talk(clients=scene.stage.patient).say("Hello there")
    assert answer.text
    assert time.monotonic() - began >= _AFTER_MS / 1000


def missing(scene: Scene) -> None:
    """A model that the provider does not have is never the client's key or request."""
    talk = scene.talk()
    scene.up.play(Act(fails="missing"))
    try:
        talk.say("Hello there")
    except (talk.errors.NotFoundError, talk.errors.InternalServerError) as error:
        assert error.status_code in (404, 502)  # noqa: PT017  # either class is right
    else:
        raise AssertionError("it was answered")


def server(scene: Scene) -> None:
    """The provider failed."""
    error = _fail(scene, Act(fails="server"), "InternalServerError")
    assert error.status_code in (500, 502)


def overloaded(scene: Scene) -> None:
    """The provider is full."""
    error = _fail(scene, Act(fails="overloaded"), "InternalServerError")
    assert error.status_code in (503, 529)


def break_off(scene: Scene) -> None:
    """An error after some tokens reaches the client as an error, and what came is in the ledger."""
    talk = scene.talk()
    scene.up.play(Act(breaks_after=3))
    talk.user("Hello there")
    said = ""
    try:
        for piece in talk.pieces(Options()):
            said += piece
    except talk.errors.APIError:
        pass
    else:
        raise AssertionError(f"the stream ended as if it were whole: {said!r}")
    assert said.split()
    row = scene.ledger(scene.up.bill())
    assert row["outcome"] != "ok"
    assert row["output"]


def cancel(scene: Scene) -> None:
    """A client that leaves stops the provider; what came until then is billed, as estimated."""
    talk = scene.talk()
    scene.up.play(Act(tokens=400, pace_s=0.02))
    talk.user("Hello there")
    pieces = talk.pieces(Options())
    for _ in range(2):
        next(pieces)
    pieces.close()  # type: ignore[attr-defined]  # a generator
    wait_until(lambda: scene.up.bill().is_cancelled, 5.0, lambda: "the provider goes on")
    bill = scene.up.bill()
    row = scene.ledger(bill)
    assert row["usage"] == "estimated"
    assert 2 <= row["output"] <= bill.output


def _fail(scene: Scene, act: Act, kind: str) -> Any:
    """The client's error, which is of this class and no other."""
    talk = scene.talk()
    scene.up.play(act)
    try:
        talk.say("Hello there")
    except talk.errors.APIError as error:
        assert isinstance(error, getattr(talk.errors, kind)), repr(error)  # noqa: PT017  # by name
        return error
    raise AssertionError("it was answered")
