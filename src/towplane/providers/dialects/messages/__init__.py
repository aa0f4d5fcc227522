"""Anthropic's Messages: as clients speak it to the plane, and as providers speak it (Anthropic
itself, Bedrock's InvokeModel and Vertex's rawPredict for Claude models)."""

from towplane.providers.dialects.messages.ask import body_for, body_for_cloud, note
from towplane.providers.dialects.messages.errors import error_body, error_event, failure_of
from towplane.providers.dialects.messages.parse import MessagesParser, make_parser
from towplane.providers.dialects.messages.read import read
from towplane.providers.dialects.messages.relay import MessagesRelay, make_relay
from towplane.providers.dialects.messages.render import render_count, render_messages
from towplane.providers.dialects.messages.usage import WireUsage, normal_usage, wire_usage
from towplane.providers.dialects.messages.write import MessagesWriter, make_writer

__all__ = [
    "MessagesParser",
    "MessagesRelay",
    "MessagesWriter",
    "WireUsage",
    "body_for",
    "body_for_cloud",
    "error_body",
    "error_event",
    "failure_of",
    "make_parser",
    "make_relay",
    "make_writer",
    "normal_usage",
    "note",
    "read",
    "render_count",
    "render_messages",
    "wire_usage",
]
