"""Features of what is said: words, roles, turns, pictures, documents, sampling, the end."""

from towplane.testing.conversation.scene import DOCUMENT, IMAGE, TEXT, Scene
from towplane.testing.conversation.talk import Answer
from towplane.testing.conversation.upstreams import Act

__all__ = [
    "cite",
    "decline",
    "document",
    "filter_out",
    "image",
    "instruct",
    "limit",
    "logprobs",
    "plain",
    "samples",
    "seed",
    "stop",
    "stream",
    "turns",
]

_LIMIT = 16
"""The least that Responses takes."""


def plain(scene: Scene) -> None:
    """A greeting is answered in one piece."""
    answer = scene.say()
    assert answer.text.strip() == TEXT
    assert answer.finish == "stop"


def stream(scene: Scene) -> None:
    """A stream that arrives cut at random bytes says the same."""
    for seed in (1, 2):
        answer = scene.say(act=Act(shred=seed), stream=True)
        assert answer.text.strip() == TEXT
        assert answer.finish == "stop"


def instruct(scene: Scene) -> None:
    """Instructions of every role of the dialect arrive once, in their order."""
    talk = scene.talk()
    talk.instruct("Be very brief.", "Say it in metres.")
    talk.user("How high is it?")
    assert scene.ask(talk).text.strip() == TEXT
    body = scene.up.body
    assert 0 < body.index("Be very brief.") < body.index("Say it in metres.")
    assert body.count("Be very brief.") == body.count("How high is it?") == 1


def turns(scene: Scene) -> None:
    """Earlier turns arrive, in their order."""
    talk = scene.talk()
    talk.user("The first question.")
    talk.reply(scene.ask(talk))
    talk.user("The second question.")
    assert scene.ask(talk).text.strip() == TEXT
    body = scene.up.body
    assert body.index("The first question.") < body.index(TEXT) < body.index("The second")


def image(scene: Scene) -> None:
    """A picture arrives byte for byte, before the words behind it."""
    talk = scene.talk()
    talk.user("What is it?", image=IMAGE)
    assert scene.ask(talk).text.strip() == TEXT
    assert scene.up.body.index(IMAGE) < scene.up.body.index("What is it?")


def document(scene: Scene) -> None:
    """A PDF arrives byte for byte."""
    talk = scene.talk()
    talk.user("What does it say?", document=DOCUMENT)
    assert scene.ask(talk).text.strip() == TEXT
    assert scene.up.body.index(DOCUMENT) < scene.up.body.index("What does it say?")


def cite(scene: Scene) -> None:
    """The sources of an answer reach the client, in one piece and streamed."""
    for streams in (False, True):
        talk = scene.talk()
        talk.user("What does it say?", document=DOCUMENT, cites=True)
        answer = scene.ask(talk, Act(cites=True), stream=streams)
        assert answer.text.strip() == TEXT
        assert answer.citations >= 1


def stop(scene: Scene) -> None:
    """The text ends before a stop sequence."""
    for streams in (False, True):
        answer = scene.say(stop="lift", stream=streams)
        assert answer.text.strip() == "plane wing rope"
        assert answer.finish == "stop"


def seed(scene: Scene) -> None:
    """The seed arrives."""
    scene.say(seed=75_317)
    assert "75317" in scene.up.body


def logprobs(scene: Scene) -> None:
    """Each token comes with its probability."""
    for streams in (False, True):
        answer = scene.say(logprobs=True, stream=streams)
        assert answer.text.strip() == TEXT
        assert answer.logprobs == len(TEXT.split())


def samples(scene: Scene) -> None:
    """Two samples come apart."""
    for streams in (False, True):
        answer = scene.say(samples=2, stream=streams)
        assert [text.strip() for text in answer.texts] == [TEXT, TEXT]


def limit(scene: Scene) -> None:
    """The answer ends at its limit, and says so."""
    for streams in (False, True):
        answer = scene.say("[long] please", Act(tokens=100), limit=_LIMIT, stream=streams)
        assert answer.finish == "length"
        assert scene.up.bill().output == _LIMIT


def decline(scene: Scene) -> None:
    """A model that declines is heard as one, in one piece and streamed."""
    for streams in (False, True):
        answer = _end(scene, "declined", streams)
        assert answer.is_declined


def filter_out(scene: Scene) -> None:
    """What the provider's filter stops is told as that: at the end, or as an error."""
    talk = scene.talk()
    for streams in (False, True):
        try:
            answer = _end(scene, "filtered", streams)
        except talk.errors.BadRequestError as error:
            assert "filter" in str(error)  # noqa: PT017  # either way is right
        else:
            assert answer.finish == "content_filter"


def _end(scene: Scene, how: str, streams: bool) -> Answer:
    return scene.say(scene.up.prompt_for(how), Act(ends=how), stream=streams)  # type: ignore[arg-type]
