"""A stand-in for `llama-server`: the same arguments, pages and key, and faults on demand.

A program of its own that needs only the standard library, so that it starts in a moment. Make one
with `write_program`, and name it as `binary` of an engine. Like the real one it answers 503 while
it loads, wants its key for all but its health, and streams tokens of a fixed text.
"""

import argparse
import json
import os
import signal
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

__all__ = ["write_program"]


def write_program(path: Path, *faults: str) -> Path:
    """A program that behaves like `llama-server` with these faults, as `main` names them."""
    options = " ".join(faults)
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {__file__} {options} "$@"\n')
    path.chmod(0o755)
    return path


class _State:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.key = os.environ.get("LLAMA_API_KEY", "")
        self.ready_at = time.monotonic() + options.load_s
        self.decoded = 0
        self.running = 0


class _Handler(BaseHTTPRequestHandler):
    state: _State
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        state = self.state
        if self.path == "/health":
            is_loaded = time.monotonic() >= state.ready_at
            self._answer(200 if is_loaded else 503, {"status": "ok" if is_loaded else "loading"})
        elif not self._has_key():
            self._answer(401, {"error": {"message": "Invalid API Key", "code": 401}})
        elif self.path == "/metrics":
            lines = (
                f"llamacpp:requests_processing {state.running}",
                "llamacpp:requests_deferred 0",
                f"llamacpp:n_decode_total {state.decoded}",
            )
            self._send(200, "text/plain", ("\n".join(lines) + "\n").encode())
        elif self.path == "/props":
            self._answer(200, {"build_info": "fake"})
        else:
            self._answer(404, {"error": {"message": "File Not Found", "code": 404}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", "0"))) or "{}")
        if not self._has_key():
            self._answer(401, {"error": {"message": "Invalid API Key", "code": 401}})
            return
        self.state.running += 1
        try:
            self._complete(body)
        finally:
            self.state.running -= 1

    def log_message(self, format: str, *args: Any) -> None:
        sys.stderr.write(format % args + "\n")

    def _complete(self, body: dict[str, Any]) -> None:
        count = min(int(body.get("max_tokens") or 8), 64)
        for _ in range(count):
            time.sleep(self.state.options.token_s)
            self.state.decoded += 1
        text = " ".join(["word"] * count)
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length"}
        if self.path.endswith("/chat/completions"):
            choice["message"] = {"role": "assistant", "content": text}
        else:
            choice["text"] = text
        usage = {"prompt_tokens": 3, "completion_tokens": count, "total_tokens": 3 + count}
        answer = {"id": "fake", "model": self.state.options.alias, "choices": [choice]}
        self._answer(200, {**answer, "pid": os.getpid(), "usage": usage})

    def _has_key(self) -> bool:
        said = self.headers.get("Authorization", "")
        return not self.state.key or said == f"Bearer {self.state.key}"

    def _answer(self, status: int, value: object) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--load-s", type=float, default=0.0, help="answer 503 for so long")
    parser.add_argument("--token-s", type=float, default=0.0, help="per token")
    parser.add_argument("--crash", default="", help="say this and exit 1 at the start")
    parser.add_argument("--signal", type=int, default=0, help="die of this at the start")
    parser.add_argument("--deaf", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--fork", type=Path, help="leave a child behind; its pid goes here")
    for name in ("--model", "--alias", "--host", "--ctx-size", "--parallel", "--threads"):
        parser.add_argument(name)
    parser.add_argument("--port", type=int)
    for name in ("--jinja", "--metrics", "--slots", "--no-ui", "--offline"):
        parser.add_argument(name, action="store_true")
    return parser.parse_args()


def _main() -> None:
    options = _read_options()
    if options.crash:
        sys.stderr.write(f"loading\n{options.crash}\n")
        sys.exit(1)
    if options.signal:
        os.kill(os.getpid(), options.signal)
    if options.deaf:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    if options.fork:
        child = os.fork()
        if child == 0:
            time.sleep(3600)
        options.fork.write_text(str(child))
    _Handler.state = _State(options)
    ThreadingHTTPServer((options.host, options.port), _Handler).serve_forever()


if __name__ == "__main__":
    _main()
