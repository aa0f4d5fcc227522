"""Alerts: somebody is told before a tenant's limit is reached.

watch    which shares of which limits have been reached: pure
outbox   what is to be told, and what became of it: a table
message  what is posted and how it is signed: pure
wire     one POST to somebody else's server
desk     the loop of the plane process that puts them together
"""
