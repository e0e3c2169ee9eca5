"""Names and documents that a careless encoding breaks."""

from __future__ import annotations

from prism.model import json

NAMES = {
    "spaces": "  two  spaces ",
    "dots": "a.b..c.",
    "star": "*",
    "greater": ">",
    "wildcards": "user.*.>",
    "glob": "user[a-z]?",
    "percent": "100%_done\\",
    "colons": "a:b::c",
    "braces": "{a}{b}",
    "slashes": "../a//b\\c",
    "quotes": 'it\'s "quoted" `so`',
    "sql": "'; DROP TABLE registrations; --",
    "lua": "'..redis.call('FLUSHALL')..'",
    "dollar": "$1 $$ ${a}",
    "json": '{"identity":"alice"}',
    "number": "0",
    "null": "null",
    "case": "Alice",
    "lower case": "alice",
    "accent": "e\u0301",
    "composed": "\u00e9",
    "astral": "\U0001f600\U0001f468\u200d\U0001f469",
    "surrogate neighbours": "\ud7ff\ue000\uffff\U00010000",
    "right to left": "\u05d0\u05d1",
    "512 bytes": "x" * 512,
    "512 bytes of two each": "\u00e9" * 256,
}
"""Identities that `check_identity` lets through."""

DOCUMENTS = {
    "empty": b"{}",
    "spaces and order": b'{"b":1,"a":2}',
    "dots and operators in keys": b'{"a.b":1,"a.eq":2,"$and":[],"":3,"contains":"x"}',
    "quotes in keys": json.encode({'it\'s "so"': 1, "\\": 2, "'; DROP TABLE x; --": 3}),
    "unicode": json.encode({"\U0001f600": "\ud7ff\ue000\uffff", "a": "e\u0301"}),
    "integers": json.encode({"a": 2**63 - 1, "b": -(2**63), "c": 2**53 + 1}),
    "floats": b'{"a":1e300,"b":5e-324,"c":-0.0,"d":0.1}',
    "nested": json.encode({"a": {"b": [1, None, [True, {"c": {}}]]}}),
    "null": b'{"a":null}',
    "64 KiB": json.encode({"a": "x" * (64 * 1024 - 8)}),
    "64 KiB of array": json.encode({"a": [f"{i:04d}" for i in range(9_000)]}),
}
"""Metadata as it is stored: canonical bytes of JSON objects."""

INJECTIONS = (
    "' OR '1'='1",
    "'; DROP TABLE registrations; --",
    '") OR 1=1 /*',
    "\\' OR 1=1 --",
    "'..redis.call('FLUSHALL')..'",
    "]] return 1 --[[",
    "{a}|{b}",
    "@a:{b} -@c",
    "(?i).*",
    "%",
    "_",
    "$.*",
    "a->>'b'",
    "$1",
    "?",
    "*",
    "\r\nFLUSHALL\r\n",
    "\x00",
)
"""Text that a query, script or protocol could take for a part of itself."""
