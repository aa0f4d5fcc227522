"""Features of tools, of the form of an answer, and of thoughts."""

import json

from towplane.testing.conversation.scene import LOOK_UP, SCHEMA, TEXT, WEIGH, Scene
from towplane.testing.conversation.talk import JSON
from towplane.testing.conversation.upstreams import Act

__all__ = [
    "force",
    "json_mode",
    "parallel",
    "reason",
    "round_trip",
    "schema",
    "show_thoughts",
    "sign",
    "single",
    "stream_calls",
]


def round_trip(scene: Scene) -> None:
    """A call, its result, and the answer that follows."""
    talk = scene.talk()
    talk.user("[tool] please")
    asked = scene.ask(talk, tools=(LOOK_UP,))
    assert asked.finish == "tool_calls"
    assert [call.name for call in asked.calls] == ["look_up"]
    assert set(asked.calls[0].arguments) == {"city", "height"}
    talk.reply(asked)
    talk.results((asked.calls[0], "It is 8848 metres."))
    last = scene.ask(talk, tools=(LOOK_UP,))
    assert last.text.strip() == TEXT
    assert last.finish == "stop"
    assert "It is 8848 metres." in scene.up.body


def parallel(scene: Scene) -> None:
    """Two calls at once, and both results."""
    for streams in (False, True):
        talk = scene.talk()
        talk.user("[tools] please")
        asked = scene.ask(talk, tools=(LOOK_UP, WEIGH), stream=streams)
        assert sorted(call.name for call in asked.calls) == ["look_up", "weigh"]
        first, second = asked.calls
        assert first.id != second.id
        talk.reply(asked)
        talk.results((first, "8848 metres"), (second, "79 tonnes"))
        assert scene.ask(talk, tools=(LOOK_UP, WEIGH)).text.strip() == TEXT
        assert "79 tonnes" in scene.up.body


def single(scene: Scene) -> None:
    """One call at a time, where two would be made."""
    talk = scene.talk()
    talk.user("[tools] please")
    asked = scene.ask(talk, tools=(LOOK_UP, WEIGH), is_single=True)
    assert len(asked.calls) == 1


def stream_calls(scene: Scene) -> None:
    """Arguments that come in pieces are those that come whole."""
    whole = scene.say("[tool] please", tools=(LOOK_UP,))
    for seed in (1, 2):
        grown = scene.say("[tool] please", Act(shred=seed), tools=(LOOK_UP,), stream=True)
        assert grown.finish == "tool_calls"
        assert [call[1:] for call in grown.calls] == [call[1:] for call in whole.calls]


def force(scene: Scene) -> None:
    """The tool that must be called is called, although nothing else asks for it."""
    asked = scene.say(tools=(LOOK_UP, WEIGH), force="weigh")
    assert [call.name for call in asked.calls] == ["weigh"]


def json_mode(scene: Scene) -> None:
    """The answer is a JSON object."""
    assert isinstance(json.loads(scene.say(wants_json=True).text), dict)


def schema(scene: Scene) -> None:
    """The answer fits the schema, in one piece and streamed."""
    for streams in (False, True):
        said = json.loads(scene.say(schema=SCHEMA, stream=streams).text)
        assert set(said) == {"city", "height"}
        assert isinstance(said["height"], int)


def reason(scene: Scene) -> None:
    """The model thinks, and its thoughts are billed and told."""
    for streams in (False, True):
        answer = scene.say(act=Act(tokens=4), thinks=True, stream=streams)
        assert answer.text.strip() == "plane wing rope lift"
        assert answer.output == scene.up.bill().output
        assert answer.output > 4


def show_thoughts(scene: Scene) -> None:
    """Thoughts are shown, in one piece and streamed."""
    wish = scene.up.thoughts_wish if scene.dialect == "chat" else {}
    for streams in (False, True):
        answer = scene.say(thinks=not wish, shows_thoughts=True, more=wish, stream=streams)
        assert answer.thoughts
        assert answer.text.strip() == TEXT


def sign(scene: Scene) -> None:
    """What the provider signed goes back intact; what was changed on the way, it finds out."""
    for streams in (False, True):
        for forge in (False, True):
            talk = scene.talk()
            talk.user("[tool] please")
            wanted: JSON = {"tools": (LOOK_UP,), "thinks": True, "shows_thoughts": True}
            asked = scene.ask(talk, **wanted, stream=streams)
            talk.reply(asked, forge=forge)
            talk.results((asked.calls[0], "8848 metres"))
            if not forge:
                assert scene.ask(talk, **wanted).text.strip() == TEXT
                continue
            try:
                scene.ask(talk, **wanted)
            except talk.errors.BadRequestError:
                continue
            raise AssertionError("a changed signature was not noticed: it never went up")
