"""Features of the books: what the client, the provider and the ledger count is the same."""

from towplane.testing.conversation.scene import TEXT, Scene
from towplane.testing.conversation.stage import EMBEDDING
from towplane.testing.conversation.upstreams import Act

__all__ = [
    "cache",
    "complete",
    "count_tokens",
    "drop",
    "embed",
    "pass_unknown",
    "stream_completion",
    "stream_usage",
    "usage",
]

_UNKNOWN = "new_field"


def usage(scene: Scene) -> None:
    """Usage is what the provider billed, at the client and in the ledger."""
    _compare(scene, streams=False)


def stream_usage(scene: Scene) -> None:
    """The same of a stream that arrives cut at random bytes."""
    _compare(scene, streams=True)


def cache(scene: Scene) -> None:
    """A marked prefix is read from the provider's cache the second time; where a provider caches
    without marks, what it says it read is told."""
    text = f"Ground rules of {scene.dialect} at {scene.up.name}: " + "always answer in rhyme " * 20
    act = Act() if scene.up.sees_marks else Act(cached=9)
    for streams in (False, True):
        answers = []
        for _ in range(2):
            talk = scene.talk()
            talk.user(text, is_marked=True)
            talk.user("Hello there")
            answers.append(scene.ask(talk, act, stream=streams))
            bill = scene.up.bill()
            assert (answers[-1].input, answers[-1].cached) == (bill.input, bill.cached)
            assert answers[-1].written == bill.written or scene.dialect != "messages"
        assert answers[1].cached > 0


def pass_unknown(scene: Scene) -> None:
    """A field that only the provider can know goes up where it speaks the client's dialect: its
    own answer decides. Elsewhere it is refused by name."""
    talk = scene.talk()
    try:
        scene.say(more={_UNKNOWN: 1})
    except talk.errors.BadRequestError as error:
        if error.response.headers.get("x-towplane-reason") == "unsupported-parameter":
            raise
        assert _UNKNOWN in str(error)  # noqa: PT017  # the provider's own words
    assert _UNKNOWN in scene.up.body


def drop(scene: Scene) -> None:
    """What has no counterpart is left out where the route says so, and told in a header."""
    talk = scene.dropping()
    talk.user("Hello there")
    assert scene.ask(talk, more={_UNKNOWN: 1}).text.strip() == TEXT
    assert scene.headers["x-towplane-dropped"] == _UNKNOWN
    assert _UNKNOWN not in scene.up.body


def complete(scene: Scene) -> None:
    """The older completions."""
    scene.up.play(Act())
    client = scene.stage.clients.openai
    found = client.completions.create(model=scene.up.name, prompt="Hello there", max_tokens=100)
    assert found.choices[0].text.strip() == TEXT
    assert found.choices[0].finish_reason == "stop"
    assert found.usage is not None
    bill = scene.up.bill()
    assert (found.usage.prompt_tokens, found.usage.completion_tokens) == (bill.input, bill.output)


def stream_completion(scene: Scene) -> None:
    """The same, streamed, cut at random bytes."""
    scene.up.play(Act(shred=3))
    stream = scene.stage.clients.openai.completions.create(
        model=scene.up.name,
        prompt="Hello there",
        max_tokens=100,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(choice.text for chunk in chunks for choice in chunk.choices)
    assert text.strip() == TEXT
    told = chunks[-1].usage
    assert told is not None
    bill = scene.up.bill()
    assert (told.prompt_tokens, told.completion_tokens) == (bill.input, bill.output)


def embed(scene: Scene) -> None:
    """Vectors come in the order of the texts, packed as the client asks for them, and billed."""
    model = scene.up.name + (EMBEDDING if scene.up.embeds else "")
    client = scene.stage.clients.openai
    packed = client.embeddings.create(model=model, input=["a plane", "a long wing"])
    plain = client.embeddings.create(
        model=model, input=["a plane", "a long wing"], encoding_format="float"
    )
    assert [one.index for one in packed.data] == [0, 1]
    assert packed.data[0].embedding != packed.data[1].embedding
    for one, other in zip(packed.data, plain.data, strict=True):
        assert max(abs(a - b) for a, b in zip(one.embedding, other.embedding, strict=True)) < 1e-6


def count_tokens(scene: Scene) -> None:
    """The input tokens of a message are those that it is billed for."""
    messages = [{"role": "user", "content": "Hello there, how high is it?"}]
    client = scene.stage.clients.anthropic
    counted = client.messages.count_tokens(model=scene.up.name, messages=messages)  # type: ignore[arg-type]
    assert counted.input_tokens
    scene.say("Hello there, how high is it?")
    assert counted.input_tokens == scene.up.bill().input


def _compare(scene: Scene, *, streams: bool) -> None:
    act = Act(cached=2, shred=5 if streams else None)
    answer = scene.say("How high is it today?", act, stream=streams)
    bill = scene.up.bill()
    told = (answer.input, answer.output, answer.cached)
    assert told == (bill.input, bill.output, bill.cached)
    row = scene.ledger(bill)
    assert (row["input"], row["output"], row["cached_input"]) == told
    assert row["usage"] == "measured"
