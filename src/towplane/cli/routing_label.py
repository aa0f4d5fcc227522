"""The command `routing label`: asks two models of the running plane, and judges what they say.

It is a client like any other, with a key of the plane: what it spends stands in the ledger, and the
key's own budget holds as well.
"""

import http.client
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote, urlsplit

import msgspec
import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Callable

    from towplane.cli.running import Whereabouts
    from towplane.routing.complexity.collect import Answered
    from towplane.routing.complexity.labels import Prompt

__all__ = ["label"]

_PATIENCE_S = 600.0


class _Message(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct):
    choices: list[_Choice]


def label(
    prompts: Annotated[Path, typer.Argument(help="Prompts, a JSON object a line.")],
    strong: Annotated[str, typer.Option("--strong", help="A model of the plane: the good one.")],
    weak: Annotated[str, typer.Option("--weak", help="A model of the plane: the cheap one.")],
    key: Annotated[str, typer.Option("--key", help="Whose key: a reference, as env:NAME.")],
    budget: Annotated[str, typer.Option("--budget", help="At most, such as `5 USD`.")],
    judge: Annotated[
        str, typer.Option("--judge", help="exact, contains, or a function of your own.")
    ],
    out: Annotated[Path, typer.Option("--out", help="Where labels are appended.")],
    tokens: Annotated[int, typer.Option("--max-tokens", min=1, help="Of each answer.")] = 512,
    file: File = DEFAULT_FILE,
    json: Json = False,
) -> None:
    """Have both models answer prompts, and write labels for `routing train`.

    Each line has prompt, and may have reference (a right answer, for exact and contains) and
    domain. Prompts that OUT has already are left out, so that it can be run again.
    """
    from towplane.cli.running import locate
    from towplane.cli.tenant_options import read_unit
    from towplane.parts.money import format_nanousd
    from towplane.parts.secrets import resolve_secret
    from towplane.routing.complexity.collect import Purse, collect, grader_of
    from towplane.routing.complexity.labels import read_prompts

    output = Output(json=json)
    purse = Purse(int(read_unit("money", "budget", budget)))
    wanted = read_prompts(prompts)
    _require_references(wanted, judge, prompts)
    known = {one.prompt for one in read_prompts(out)} if out.exists() else set()
    left = [one for one in wanted if one.prompt not in known]
    line = _Line(locate(file), resolve_secret(key, os.environ).reveal(), tokens)
    count = 0
    with out.open("ab") as labels:
        for one in collect(left, line.asker(strong), line.asker(weak), grader_of(judge), purse):
            labels.write(msgspec.json.encode(one) + b"\n")
            labels.flush()
            count += 1
    output.object(
        {"file": str(out), "labels": count, "left": len(left) - count,
         "spent_nanousd": purse.spent_nanousd}
    )  # fmt: skip
    output.lines(f"{out}: {count} labels more, for {format_nanousd(purse.spent_nanousd)}")
    if count < len(left):
        output.note(f"the budget is spent: {len(left) - count} prompts are left")


def _require_references(wanted: "list[Prompt]", judge: str, prompts: Path) -> None:
    from towplane.parts.errors import BadRequest

    missing = sum(not one.reference for one in wanted)
    if judge in ("exact", "contains") and missing:
        raise BadRequest(
            f"{missing} prompts of {prompts} have no `reference` to compare an answer with",
            param="prompts",
            next_step="add references, or give a --judge of your own",
        )


class _Line:
    """The serving port of the running plane, and its admin port for what an answer cost."""

    def __init__(self, where: "Whereabouts", key: str, tokens: int) -> None:
        from towplane.cli.running import find_running
        from towplane.parts.errors import NotRunning

        running = find_running(where.data_dir)
        if running is None:
            raise NotRunning(
                f"no plane runs with the data_dir {where.data_dir}",
                next_step=f"start one with `towplane up -f {where.file}`",
            )
        self._serving = urlsplit(running.serving)
        self._where = where
        self._key = key
        self._tokens = tokens

    def asker(self, model: str) -> "Callable[[str], Answered]":
        """Asks one model."""
        return lambda prompt: self.ask(model, prompt)

    def ask(self, model: str, prompt: str) -> "Answered":
        """One answer and its cost. Raises PlaneError for anything but an answer."""
        from towplane.parts.errors import PlaneError
        from towplane.routing.complexity.collect import Answered

        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": self._tokens,
        }
        status, request, answer = self._post(msgspec.json.encode(body))
        if status != http.client.OK:
            raise PlaneError(
                f"{model} answered {status}: {answer[:300].decode(errors='replace')}",
                next_step="what was labelled is kept; run it again when this is repaired",
            )
        choices = msgspec.json.decode(answer, type=_Answer).choices
        text = choices[0].message.content or "" if choices else ""
        return Answered(text, self._cost(request))

    def _post(self, body: bytes) -> tuple[int, str, bytes]:
        kind = (
            http.client.HTTPSConnection
            if self._serving.scheme == "https"
            else http.client.HTTPConnection
        )
        connection = kind(self._serving.netloc, timeout=_PATIENCE_S)
        try:
            headers = {"authorization": f"Bearer {self._key}", "content-type": "application/json"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            request = answer.getheader("x-towplane-request-id") or ""
            return answer.status, request, answer.read()
        finally:
            connection.close()

    def _cost(self, request: str) -> int | None:
        """By the ledger, all attempts together; None where one of them is unknown."""
        from towplane.api.explanations import RequestExplanation
        from towplane.cli.running import ask_running

        path = f"/api/v1/routing/requests/{quote(request, safe='')}"
        costs = [
            row.cost_nanousd for row in ask_running(self._where, path, RequestExplanation).attempts
        ]
        known = [cost for cost in costs if cost is not None]
        return sum(known) if costs and len(known) == len(costs) else None
