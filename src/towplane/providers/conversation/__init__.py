"""The normal form between dialects: a request as a `Conversation`, an answer as `Event`s.

    client's dialect ──read──▶ Conversation ──render──▶ provider's request
    client's dialect ◀─write── Event, Event ◀──parse─── provider's answer

It is only used where the client's dialect is not the provider's own; otherwise bytes pass through.
"""
