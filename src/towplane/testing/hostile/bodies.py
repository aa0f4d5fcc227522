"""Hostile bodies: good HTTP around JSON that is broken, ambiguous, huge or of the wrong types.

The plane reads only what routing and accounting need, so what it does not read may pass through
and be judged upstream; what it does read must mean one thing to both. Whatever passes, the upstream
must see the model that the plane decided on, and no header made from the body.
"""

from towplane.testing.hostile.case import (
    MAYBE,
    TAG,
    Case,
    Want,
    body,
    get,
    passed,
    post,
    rejected,
    served,
)

__all__ = ["FIELDS", "JSON"]

_MESSAGES = b'"messages":[{"role":"user","content":"hi"}],"max_tokens":1'
_USER = b'"user":"%s"' % TAG


def _with(fields: bytes) -> tuple[bytes, ...]:
    return (post(b"{%s,%s,%s}" % (fields, _USER, _MESSAGES)),)


def _extra(fields: bytes) -> tuple[bytes, ...]:
    return (post(body(extra=b"," + fields)),)


JSON: tuple[Case, ...] = (
    Case("a body that is not JSON is rejected", (post(b"hello"),), rejected()),
    Case("a body of white space is rejected", (post(b"  \r\n "),), rejected()),
    Case("a body of null is rejected", (post(b"null"),), rejected()),
    Case("a body of a number is rejected", (post(b"1"),), rejected()),
    Case("a body of a string is rejected", (post(b'"fake"'),), rejected()),
    Case("a body of a list is rejected", (post(b"[" + body() + b"]"),), rejected()),
    Case("a body of an empty list is rejected", (post(b"[]"),), rejected()),
    Case("a body of an empty object is rejected", (post(b"{}"),), rejected()),
    Case("a body that is cut is rejected", (post(body()[:-1]),), rejected()),
    Case("a body with a tail is rejected", (post(body() + b" x"),), rejected()),
    Case("two objects in one body are rejected", (post(body() + body()),), rejected()),
    Case("a comma at the end is rejected", (post(body(extra=b",")),), rejected()),
    Case("a comment in the body is rejected", (post(b"/* */" + body()),), rejected()),
    Case("single quotes are rejected", (post(body().replace(b'"', b"'")),), rejected()),
    Case("a key without quotes is rejected", (post(b"{model:1}"),), rejected()),
    Case("a NUL behind the body is rejected", (post(body() + b"\x00"),), rejected()),
    Case("a byte order mark is rejected or skipped", (post(b"\xef\xbb\xbf" + body()),), passed()),
    Case("a body in UTF-16 is rejected", (post(body().decode().encode("utf-16")),), rejected()),
    Case("a body in UTF-32 is rejected", (post(body().decode().encode("utf-32")),), rejected()),
    Case("a form is rejected", (post(b"model=fake&messages=hi"),), rejected()),
    Case("NaN where nobody reads it is rejected or passed on", _extra(b'"x":NaN'), passed()),
    Case(
        "infinity where nobody reads it is rejected or passed on",
        _extra(b'"x":-Infinity'),
        passed(),
    ),
    Case("a number beyond every float is rejected or passed on", _extra(b'"x":1e999999'), passed()),
    Case(
        "a number of five thousand digits is rejected or passed on",
        _extra(b'"x":' + b"9" * 5000),
        passed(),
    ),
    Case(
        "invalid UTF-8 where nobody reads it is rejected or passed on",
        (post(body().replace(b'"hi"', b'"\xff\xfe\xc0\x80"')),),
        passed(),
    ),
    Case(
        "a lone surrogate where nobody reads it is rejected or passed on",
        (post(body().replace(b'"hi"', b'"\\ud800"')),),
        passed(),
    ),
    Case(
        "ten thousand nested lists are rejected or passed on",
        _extra(b'"x":' + b"[" * 10_000 + b"]" * 10_000),
        passed(),
    ),
    Case(
        "ten thousand nested objects are rejected or passed on",
        _extra(b'"x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
        passed(),
    ),
    Case("ten thousand open lists are rejected", (post(b"[" * 10_000),), rejected()),
    Case(
        "ten thousand fields are rejected or passed on",
        _extra(b",".join(b'"%d":1' % index for index in range(5_000))),
        passed(),
    ),
    Case(
        "white space everywhere is served",
        (post(body().replace(b",", b" ,\r\n\t ").replace(b":", b" : ")),),
        served(),
    ),
)


FIELDS: tuple[Case, ...] = (
    Case("no model is rejected", (post(b"{%s,%s}" % (_USER, _MESSAGES)),), rejected()),
    Case("a model of null is rejected", _with(b'"model":null'), rejected()),
    Case("a model that is a number is rejected", _with(b'"model":1'), rejected()),
    Case("a model that is a list is rejected", _with(b'"model":["fake"]'), rejected()),
    Case("a model that is an object is rejected", _with(b'"model":{"fake":1}'), rejected()),
    Case("an empty model is rejected", _with(b'"model":""'), rejected(400, 404)),
    Case("an unknown model is rejected", _with(b'"model":"nope"'), rejected(404)),
    Case("a model in capitals is another model", _with(b'"model":"FAKE"'), rejected(404)),
    Case("a model with a space is another model", _with(b'"model":"fake "'), rejected(404)),
    Case(
        "a model with a NUL is another model", _with(b'"model":"fake\\u0000"'), rejected(400, 404)
    ),
    Case("a model with a raw NUL is rejected", _with(b'"model":"fake\x00"'), rejected(400, 404)),
    Case(
        "a model with line ends makes no header",
        _with(b'"model":"fake\\r\\nX-Evil: 1\\r\\n\\r\\n"'),
        rejected(400, 404),
    ),
    Case(
        "a model with raw line ends is rejected", _with(b'"model":"fake\r\n"'), rejected(400, 404)
    ),
    Case(
        "a model that is a path is another model",
        _with(b'"model":"../../fake"'),
        rejected(400, 404),
    ),
    Case(
        "a model of 50 KiB is another model",
        _with(b'"model":"%s"' % (b"f" * 51_200)),
        rejected(400, 404),
    ),
    Case("a model in invalid UTF-8 is rejected", _with(b'"model":"fake\xff"'), rejected(400, 404)),
    Case(
        "a model with a lone surrogate is rejected", _with(b'"model":"\\ud800"'), rejected(400, 404)
    ),
    Case(
        "a model above ASCII is another model", _with('"model":"fäke"'.encode()), rejected(400, 404)
    ),
    Case("a model with escapes is the same model", _with(b'"model":"\\u0066ake"'), passed()),
    Case("a key with escapes is the same key", _with(b'"\\u006dodel":"fake"'), passed()),
    Case(
        "a right and a wrong model are one of them or rejected",
        _with(b'"model":"fake","model":"nope"'),
        passed(400, 404),
    ),
    Case(
        "a wrong and a right model are one of them or rejected",
        _with(b'"model":"nope","model":"fake"'),
        passed(400, 404),
    ),
    Case(
        "a model and an escaped model are one of them or rejected",
        _with(b'"model":"fake","\\u006dodel":"nope"'),
        passed(400, 404),
    ),
    Case(
        "an escaped model and a model are one of them or rejected",
        _with(b'"\\u006dodel":"nope","model":"fake"'),
        passed(400, 404),
    ),
    Case("a model in another object is no model", _with(b'"x":{"model":"fake"}'), rejected()),
    Case("a model in a string is no model", _with(b'"x":"\\"model\\":\\"fake\\""'), rejected()),
    Case(
        "a model in a message does not count",
        (post(body().replace(b'"hi"', b'"\\"model\\":\\"nope\\", \\"stream\\":true"')),),
        served(),
    ),
    Case(
        "a model in an object before the model does not count",
        _with(b'"x":{"model":"nope"},"model":"fake"'),
        served(),
    ),
    Case(
        "a model in an object after the model does not count",
        _with(b'"model":"fake","x":[{"model":"nope"}]'),
        served(),
    ),
    Case("stream as a string is rejected or passed on", _extra(b'"stream":"true"'), passed()),
    Case("stream as a number is rejected or passed on", _extra(b'"stream":1'), passed()),
    Case("stream as null is served", _extra(b'"stream":null'), passed()),
    Case(
        "stream twice is one of them or rejected", _extra(b'"stream":true,"stream":false'), passed()
    ),
    Case(
        "stream options of a wrong type are rejected or passed on",
        _extra(b'"stream":true,"stream_options":"yes"'),
        passed(),
    ),
    Case(
        "stream options as a list are rejected or passed on",
        _extra(b'"stream":true,"stream_options":[1]'),
        passed(),
    ),
    Case(
        "stream options of null are served",
        _extra(b'"stream":true,"stream_options":null'),
        served(),
    ),
    Case(
        "stream options that are empty are served",
        _extra(b'"stream":true,"stream_options":{}'),
        served(),
    ),
    Case(
        "include_usage of a wrong type is rejected or passed on",
        _extra(b'"stream":true,"stream_options":{"include_usage":"yes"}'),
        passed(),
    ),
    Case(
        "include_usage that is false is served",
        _extra(b'"stream":true,"stream_options":{"include_usage":false}'),
        served(),
    ),
    Case(
        "stream options without a stream are rejected or passed on",
        _extra(b'"stream_options":{"include_usage":true}'),
        passed(),
    ),
    Case(
        "stream options twice are one of them or rejected",
        _extra(b'"stream":true,"stream_options":{},"stream_options":{"include_usage":false}'),
        passed(),
    ),
    Case(
        "a negative maximum is rejected or passed on",
        _extra(b'"max_completion_tokens":-1'),
        passed(),
    ),
    Case(
        "a maximum beyond 2^63 is rejected",
        _extra(b'"max_completion_tokens":9223372036854775808'),
        passed(400, 429),
    ),
    Case(
        "a maximum of 1e30 is rejected or passed on",
        _extra(b'"max_completion_tokens":1e30'),
        passed(400, 429),
    ),
    Case(
        "a maximum as a string is rejected or passed on",
        _extra(b'"max_completion_tokens":"1"'),
        passed(),
    ),
    Case(
        "a maximum with a fraction is rejected or passed on",
        _extra(b'"max_completion_tokens":1.5'),
        passed(),
    ),
    Case(
        "a maximum of true is rejected or passed on",
        _extra(b'"max_completion_tokens":true'),
        passed(),
    ),
    Case(
        "a user with line ends makes no header",
        _extra(b'"metadata":{"a":"\\r\\nX-Evil: 1"}'),
        passed(),
    ),
    Case(
        "a number of choices of a wrong type is rejected or passed on", _extra(b'"n":"x"'), passed()
    ),
    Case(
        "a huge number of choices is rejected or passed on",
        _extra(b'"n":1000000000'),
        passed(400, 429),
    ),
    Case(
        "messages of a wrong type are judged upstream",
        (post(b'{"model":"fake",%s,"messages":"hi"}' % _USER),),
        Want((frozenset({400}),), upstream=MAYBE),
    ),
    Case(
        "no messages are judged upstream",
        (post(b'{"model":"fake",%s}' % _USER),),
        Want((frozenset({400}),), upstream=MAYBE),
    ),
    Case(
        "completions of a list of token ids are served",
        (
            post(
                b'{"model":"fake",%s,"prompt":[1,2,3],"max_tokens":1}' % _USER,
                path=b"/v1/completions",
            ),
        ),
        served(),
    ),
    Case(
        "embeddings of many texts are served",
        (post(b'{"model":"fake",%s,"input":["a","b c"]}' % _USER, path=b"/v1/embeddings"),),
        served(),
    ),
    Case(
        "an unknown model of the list is not found",
        (get(b"/v1/models/%66ake%00"),),
        rejected(400, 404),
    ),
)
