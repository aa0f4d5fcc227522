"""Servers that speak OpenAI's API: `kind: openai-compatible`, and the engines that speak it too."""
