#!/usr/bin/env python3
"""Writes the golden byte vectors frames.json, handshake.json, segment.json and counters.json beside this file.

The bytes come from the rules in docs/protocol.md by plain struct.pack, and from no implementation of the protocol.
`generate.py --check` writes nothing and fails if a file differs from what would be written.
"""

import json
import os
import struct
import sys

HERE = os.path.dirname(os.path.abspath(__file__))

KINDS = {
    "EVENT": 1, "CALL": 2, "REPLY": 3, "ERROR": 4, "CANCEL": 5, "ITEM": 6, "END": 7, "CREDIT": 8, "STATE": 9,
    "PING": 10, "PONG": 11, "GOODBYE": 12,
}
BOTH = ["client", "server"]
SENDERS = {
    "EVENT": BOTH, "CALL": ["client"], "REPLY": ["server"], "ERROR": BOTH, "CANCEL": BOTH, "ITEM": BOTH, "END": BOTH,
    "CREDIT": BOTH, "STATE": ["server"], "PING": BOTH, "PONG": BOTH, "GOODBYE": ["server"],
}
MORE, META, REDELIVERED, LOAN = 1, 2, 4, 8

# The client's name table that every vector with a target refers to.
NAMES = [
    {"name": "log", "kind": "event", "codec": "msgpack"},
    {"name": "line", "kind": "event", "codec": "json"},
    {"name": "blob", "kind": "event", "codec": "raw"},
    {"name": "verify", "kind": "method", "codec": "msgpack"},
    {"name": "lookup", "kind": "method", "codec": "json"},
    {"name": "digest", "kind": "method", "codec": "raw"},
    {"name": "tail", "kind": "stream", "codec": "raw"},
    {"name": "store", "kind": "upload", "codec": "raw"},
    {"name": "chat", "kind": "duplex", "codec": "json"},
    {"name": "mode", "kind": "state", "codec": "json"},
    {"name": "alarm", "kind": "broadcast", "codec": "raw"},
    {"name": "later", "kind": "of a later version", "codec": "raw"},
]
TAIL, STORE, CHAT, MODE, ALARM, LATER = 6, 7, 8, 9, 10, 11


def letters(count, first=0x61):
    return bytes(first + number % 26 for number in range(count))


def record(length, kind, flags, target, correlation, aux, payload):
    """Header, payload, zeros to a multiple of 8."""
    head = struct.pack("<I", length) + struct.pack("<BB", kind, flags) + struct.pack("<H", target)
    head += struct.pack("<I", correlation) + struct.pack("<I", aux)
    data = head + payload
    while len(data) % 8:
        data += b"\0"
    return data


def senders_of(kind, target):
    """An EVENT is a client's or, to a broadcast, a server's."""
    if kind != "EVENT":
        return SENDERS[kind]
    return ["server"] if NAMES[target]["kind"] == "broadcast" else ["client"]


def with_headers(block, value=b""):
    """The payload of a message with META."""
    data = struct.pack("<I", len(block)) + block
    while len(data) % 8:
        data += b"\0"
    return data + value


TRACE = b'{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}'


def frame(name, kind, flags=0, target=0, correlation=0, aux=0, payload=b"", **more):
    data = record(len(payload), KINDS[kind], flags, target, correlation, aux, payload)
    return {
        "name": name,
        "kindName": kind,
        "senders": senders_of(kind, target),
        "header": {
            "payloadLength": len(payload), "kind": KINDS[kind], "flags": flags, "target": target,
            "correlation": correlation, "aux": aux,
        },
        "more": bool(flags & MORE),
        "meta": bool(flags & META),
        "redelivered": bool(flags & REDELIVERED),
        "payload": payload.hex(),
        "recordBytes": len(data),
        "record": data.hex(),
        **more,
    }


def frames():
    out = []
    for length in (0, 1, 7, 8, 9):
        out.append(frame(f"event, raw payload of {length}", "EVENT", target=2, correlation=100 + length,
                         payload=letters(length)))
    out += [
        frame("event, msgpack {\"n\": 1}", "EVENT", target=0, correlation=1, payload=bytes.fromhex("81a16e01")),
        frame("event, json {\"n\":1}", "EVENT", target=1, correlation=2, payload=b'{"n":1}'),
        frame("event, redelivered", "EVENT", flags=REDELIVERED, target=2, correlation=3, payload=b"again"),
        frame("event, its 1000 bytes on loan at 65536", "EVENT", flags=LOAN, target=2, correlation=6,
              payload=struct.pack("<II", 65536, 1000)),
        frame("event, nothing on loan, redelivered", "EVENT", flags=LOAN | REDELIVERED, target=2, correlation=7,
              payload=struct.pack("<II", 0, 0)),
        frame("event, the last sequence number", "EVENT", target=2, correlation=0xFFFFFFFF, payload=b"z"),
        frame("event, the number after the last", "EVENT", target=2, correlation=0, payload=b"a"),
        frame("event, json, no value", "EVENT", target=1, correlation=4),
        frame("event, json, UTF-8 of two, three and four bytes", "EVENT", target=1, correlation=5,
              payload='"é€😀"'.encode()),
    ]
    for length in (0, 1, 7, 8, 9):
        out.append(frame(f"call, raw payload of {length}, no limit", "CALL", target=5, correlation=200 + length,
                         payload=letters(length)))
    out += [
        frame("call, the client waits 50 ms", "CALL", target=4, correlation=7, aux=50, payload=b'{"token":"x"}'),
        frame("call, the longest wait", "CALL", target=3, correlation=8, aux=0xFFFFFFFF, payload=b"\xc0"),
        frame("call, the last id", "CALL", target=5, correlation=0xFFFFFFFF, payload=b"id"),
        frame("call, the id after the last", "CALL", target=5, correlation=1, payload=b"id"),
    ]
    for length in (0, 1, 7, 8, 9):
        out.append(frame(f"reply, payload of {length}", "REPLY", correlation=200 + length, payload=letters(length)))
    out += [
        frame("reply to the last id", "REPLY", correlation=0xFFFFFFFF, payload=b"id"),
        frame("error", "ERROR", correlation=7, payload=b'{"code":"ERR_PILLION_UNKNOWN_NAME","message":"no lookup"}'),
        frame("error with name and stack", "ERROR", correlation=8,
              payload=b'{"code":"E_FAIL","message":"failed","name":"TypeError","stack":"TypeError\\n    at f"}'),
        frame("cancel", "CANCEL", correlation=7),
        frame("cancel of the last id", "CANCEL", correlation=0xFFFFFFFF),
        frame("error, a source that failed", "ERROR", correlation=11, payload=b'{"code":"E_SOURCE","message":"gone"}'),
        frame("call that opens a stream, credit for 65536", "CALL", target=TAIL, correlation=10, aux=65536,
              payload=letters(3)),
        frame("call that opens a stream, no credit yet", "CALL", target=TAIL, correlation=10, aux=0),
        frame("call that opens an upload", "CALL", target=STORE, correlation=11),
        frame("call that opens a duplex stream, the largest credit", "CALL", target=CHAT, correlation=12,
              aux=0x7FFFFFFF),
        frame("call to a kind of name of a later version", "CALL", target=LATER, correlation=13, payload=b"?"),
    ]
    for length in (0, 1, 7, 8, 9):
        out.append(frame(f"item, payload of {length}", "ITEM", correlation=10, payload=letters(length)))
    out += [
        frame("item, the first fragment of some", "ITEM", flags=MORE, correlation=0xFFFFFFFF, payload=letters(64)),
        frame("item, a later fragment", "ITEM", flags=MORE, correlation=0xFFFFFFFF, aux=64, payload=letters(64)),
        frame("item, the last fragment", "ITEM", correlation=0xFFFFFFFF, aux=128, payload=letters(1)),
        frame("end", "END", correlation=10),
        frame("end of the last id", "END", correlation=0xFFFFFFFF),
        frame("credit for a stream, the smallest", "CREDIT", correlation=10, aux=1),
        frame("credit for a stream, 32768", "CREDIT", correlation=10, aux=32768),
        frame("credit for a stream, the largest", "CREDIT", correlation=0xFFFFFFFF, aux=0x7FFFFFFF),
        frame("state", "STATE", target=MODE, correlation=1, payload=b'{"level":3}'),
        frame("state, no value", "STATE", target=MODE, correlation=2),
        frame("state, the last id", "STATE", target=MODE, correlation=0xFFFFFFFF, payload=b"null"),
        frame("state, the first fragment of some", "STATE", flags=MORE, target=MODE, correlation=3, payload=b'{"a":'),
        frame("broadcast", "EVENT", target=ALARM, correlation=1, payload=b"fire"),
        frame("broadcast, no bytes", "EVENT", target=ALARM, correlation=2),
        frame("event with headers", "EVENT", flags=META, target=2, correlation=6, payload=with_headers(TRACE, b"v")),
        frame("event with headers, redelivered", "EVENT", flags=META | REDELIVERED, target=2, correlation=6,
              payload=with_headers(TRACE, b"v")),
        frame("call with headers", "CALL", flags=META, target=5, correlation=14, aux=50,
              payload=with_headers(b'{"a":"1"}', b"value")),
        frame("call with headers that opens an upload", "CALL", flags=META, target=STORE, correlation=15,
              payload=with_headers(b'{"a":"1"}')),
        frame("broadcast with headers", "EVENT", flags=META, target=ALARM, correlation=4,
              payload=with_headers(b"{}", b"x")),
        frame("credit, nothing released", "CREDIT", aux=0, transports=["socket"]),
        frame("credit, 4096 released", "CREDIT", aux=4096, transports=["socket"]),
        frame("credit, just before the count wraps", "CREDIT", aux=0xFFFFFFF8, transports=["socket"]),
        frame("ping, empty", "PING", correlation=1),
        frame("ping, any numbers", "PING", correlation=0xDEADBEEF, aux=0x01020304, payload=b"hello"),
        frame("pong to it", "PONG", correlation=0xDEADBEEF, aux=0x01020304, payload=b"hello"),
        frame("ping of 1008", "PING", correlation=2, payload=letters(1008)),
        frame("goodbye", "GOODBYE"),
    ]
    return out


def message(name, kind, target, correlation, aux, payload, capacity, flags=0, sender=None):
    """A message cut for a ring of this capacity: no record is longer than a quarter of it."""
    room = capacity // 4 - 16
    at, records = 0, []
    while True:
        part = payload[at:at + room]
        last = at + len(part) == len(payload)
        records.append(frame(f"{name}, fragment at {at}", kind, flags | (0 if last else MORE), target, correlation,
                             at if at else aux, part))
        at += len(part)
        if last:
            break
    return {
        "name": name, "kindName": kind, "sender": sender or senders_of(kind, target)[0], "ringCapacity": capacity,
        "largestRecord": capacity // 4, "target": target, "correlation": correlation, "aux": aux,
        "flags": flags, "payload": payload.hex(), "records": records,
    }


def messages():
    return [
        message("a call of 2500 bytes", "CALL", 5, 21, 1500, letters(2500), 4096),
        message("a call of exactly one whole record", "CALL", 5, 22, 0, letters(1008), 4096),
        message("a call of one byte more", "CALL", 5, 23, 0, letters(1009), 4096),
        message("an event of 3000 bytes", "EVENT", 2, 9, 0, letters(3000), 4096),
        message("the same event, redelivered", "EVENT", 2, 9, 0, letters(3000), 4096, REDELIVERED),
        message("a reply of 2016 bytes, two full records", "REPLY", 0, 21, 0, letters(2016), 4096),
        message("an event that fills the ring", "EVENT", 2, 10, 0, letters(4032), 4096),
        message("an item of 2500 bytes from a client", "ITEM", 0, 31, 0, letters(2500), 4096, sender="client"),
        message("an item of 2500 bytes from a server", "ITEM", 0, 31, 0, letters(2500), 4096, sender="server"),
        message("a state of 2500 bytes", "STATE", MODE, 32, 0, b'"' + letters(2498) + b'"', 4096),
        message("a broadcast of 2500 bytes", "EVENT", ALARM, 33, 0, letters(2500), 4096),
        message("an error of 1100 bytes from a client", "ERROR", 0, 34, 0,
                b'{"code":"E_SOURCE","message":"' + letters(1068) + b'"}', 4096, sender="client"),
        message("a call of 1500 bytes with headers, all in the first fragment", "CALL", 5, 35, 0,
                with_headers(TRACE, letters(1500)), 4096, META),
        message("a call whose headers are longer than a fragment", "CALL", 5, 36, 0,
                with_headers(b'{"long":"' + letters(2000) + b'"}', letters(10)), 4096, META),
    ]


def headers():
    """Payloads with META: what they say, or what is wrong with them."""
    def good(name, block, value=b""):
        return {"name": name, "payload": with_headers(block, value).hex(), "headers": json.loads(block),
                "value": value.hex()}

    def bad(name, payload):
        return {"name": name, "payload": payload.hex()}

    longest = b'{"x":"' + letters(8192 - 8) + b'"}'
    return {
        "good": [
            good("no header", b"{}", b"value"),
            good("traceparent", TRACE, b"value"),
            good("two, and no value", b'{"a":"1","b":""}'),
            good("four bytes: no padding", b"{  }", b"value"),
            good("five bytes: seven of padding", b"{   }", b"value"),
            good("UTF-8 of two, three and four bytes", '{"ü€":"😀"}'.encode(), b"value"),
            good("exactly 8192 bytes", longest, b"value"),
        ],
        "bad": [
            bad("no payload", b""),
            bad("half a length", b"\1\0"),
            bad("a length alone", struct.pack("<I", 2)),
            bad("no block", struct.pack("<I", 0) + bytes(4) + b"value"),
            bad("longer than the message", struct.pack("<I", 17) + b'{"a":"1"}   value'),
            bad("padding that is not there", struct.pack("<I", 2) + b"{}"),
            bad("a length of 2^32 - 1", struct.pack("<I", 0xFFFFFFFF) + b"{}  "),
            bad("a length of 2^31", struct.pack("<I", 0x80000000) + b"{}  "),
            bad("a length that wraps with its padding", struct.pack("<I", 0xFFFFFFFC) + b"{}  "),
            bad("8193 bytes", with_headers(longest + b" ", b"value")),
            bad("not JSON", with_headers(b"{a:1}")),
            bad("not UTF-8", with_headers(b'{"a":"\xff"}')),
            bad("an array", with_headers(b'["a"]')),
            bad("null", with_headers(b"null")),
            bad("a string", with_headers(b'"a"')),
            bad("a number as a value", with_headers(b'{"a":1}')),
            bad("null as a value", with_headers(b'{"a":null}')),
            bad("an object as a value", with_headers(b'{"a":"1","b":{}}')),
        ],
    }


def reject():
    """Records that break a rule, for a ring of 262144 bytes and the name table above."""
    largest = 262144 // 4

    def bad(name, sender, length, kind, flags=0, target=0, correlation=1, aux=0, payload=b"", **more):
        return {"name": name, "sender": sender, "record": record(length, kind, flags, target, correlation, aux,
                                                                 payload).hex(), **more}

    return [
        {"name": "all zeros", "sender": "client", "record": "00" * 16},
        {"name": "all zeros from the server", "sender": "server", "record": "00" * 16},
        bad("kind 0 with an id", "client", 0, 0),
        bad("kind 13", "client", 0, 13),
        bad("kind 255", "server", 0, 255),
        bad("CALL from the server", "server", 1, 2, target=5, payload=b"a"),
        bad("REPLY from the client", "client", 1, 3, payload=b"a"),
        bad("STATE from the client", "client", 1, 9, target=MODE, payload=b"1"),
        bad("GOODBYE from the client", "client", 0, 12, correlation=0),
        bad("EVENT from the server to an event", "server", 1, 1, target=2, payload=b"a"),
        bad("EVENT from the server to a state", "server", 1, 1, target=MODE, payload=b"1"),
        bad("EVENT from the server to a stream", "server", 1, 1, target=TAIL, payload=b"a"),
        bad("EVENT from the server, REDELIVERED", "server", 1, 1, flags=4, target=ALARM, payload=b"a"),
        bad("STATE to a broadcast", "server", 1, 9, target=ALARM, payload=b"1"),
        bad("STATE to an event", "server", 1, 9, target=1, payload=b"1"),
        bad("STATE to a method", "server", 1, 9, target=4, payload=b"1"),
        bad("STATE beyond the table", "server", 1, 9, target=len(NAMES), payload=b"1"),
        bad("STATE, META", "server", 8, 9, flags=2, target=MODE, payload=with_headers(b"{} ")),
        bad("STATE, REDELIVERED", "server", 1, 9, flags=4, target=MODE, payload=b"1"),
        bad("LOAN of one byte", "client", 1, 1, flags=8, target=2, payload=b"a"),
        bad("LOAN in a CALL", "client", 8, 2, flags=8, target=5, payload=struct.pack("<II", 0, 1)),
        bad("LOAN without an arena", "client", 8, 1, flags=8, target=2, payload=struct.pack("<II", 0, 1)),
        bad("LOAN of which more follows", "client", 8, 1, flags=9, target=2, payload=struct.pack("<II", 0, 1)),
        bad("LOAN with headers", "client", 8, 1, flags=10, target=2, payload=struct.pack("<II", 0, 1)),
        bad("EVENT, flag 16", "client", 1, 1, flags=16, target=2, payload=b"a"),
        bad("EVENT, an empty fragment", "client", 0, 1, flags=1, target=2),
        bad("EVENT to a method", "client", 1, 1, target=5, payload=b"a"),
        bad("EVENT to a stream", "client", 1, 1, target=TAIL, payload=b"a"),
        bad("EVENT to a broadcast", "client", 1, 1, target=ALARM, payload=b"a"),
        bad("EVENT to a state", "client", 1, 1, target=MODE, payload=b"1"),
        bad("EVENT to a kind of name of a later version", "client", 1, 1, target=LATER, payload=b"a"),
        bad("EVENT beyond the table", "client", 1, 1, target=len(NAMES), payload=b"a"),
        bad("CALL, REDELIVERED", "client", 1, 2, flags=4, target=5, payload=b"a"),
        bad("CALL to an event", "client", 1, 2, target=2, payload=b"a"),
        bad("CALL to a state", "client", 1, 2, target=MODE, payload=b"1"),
        bad("CALL to a broadcast", "client", 1, 2, target=ALARM, payload=b"a"),
        bad("CALL to target 65535", "client", 1, 2, target=0xFFFF, payload=b"a"),
        bad("CALL with id 0", "client", 1, 2, target=5, correlation=0, payload=b"a"),
        bad("CALL with id 0 that opens a stream", "client", 1, 2, target=TAIL, correlation=0, aux=1, payload=b"a"),
        bad("CALL to an upload with a payload", "client", 1, 2, target=STORE, payload=b"a"),
        bad("CALL to a duplex stream with a payload", "client", 1, 2, target=CHAT, aux=65536, payload=b"1"),
        bad("CALL with a first credit of 2^31", "client", 1, 2, target=TAIL, aux=0x80000000, payload=b"a"),
        bad("CALL with a first credit of 2^32 - 1", "client", 0, 2, target=CHAT, aux=0xFFFFFFFF),
        bad("CALL, an empty fragment", "client", 0, 2, flags=1, target=5),
        bad("REPLY, flag 128", "server", 1, 3, flags=128, payload=b"a"),
        bad("REPLY, META", "server", 8, 3, flags=2, payload=with_headers(b"{} ")),
        bad("REPLY with a target", "server", 1, 3, target=1, payload=b"a"),
        *(
            item for sender in BOTH for item in (
                bad(f"ERROR from the {sender}, META", sender, 8, 4, flags=2, payload=with_headers(b"{} ")),
                bad(f"ERROR from the {sender} with a target", sender, 2, 4, target=TAIL, payload=b"{}"),
                bad(f"CANCEL from the {sender} with a payload", sender, 1, 5, payload=b"a"),
                bad(f"CANCEL from the {sender} with a target", sender, 0, 5, target=TAIL),
                bad(f"CANCEL from the {sender}, MORE", sender, 0, 5, flags=1),
                bad(f"ITEM from the {sender} with a target", sender, 1, 6, target=TAIL, payload=b"a"),
                bad(f"ITEM from the {sender}, META", sender, 8, 6, flags=2, payload=with_headers(b"{} ")),
                bad(f"ITEM from the {sender}, REDELIVERED", sender, 1, 6, flags=4, payload=b"a"),
                bad(f"END from the {sender} with a payload", sender, 1, 7, payload=b"a"),
                bad(f"END from the {sender} with a target", sender, 0, 7, target=TAIL),
                bad(f"END from the {sender}, MORE", sender, 0, 7, flags=1),
                bad(f"CREDIT of 0 from the {sender}", sender, 0, 8, aux=0),
                bad(f"CREDIT of 2^31 from the {sender}", sender, 0, 8, aux=0x80000000),
                bad(f"CREDIT of 2^32 - 1 from the {sender}", sender, 0, 8, aux=0xFFFFFFFF),
                bad(f"CREDIT from the {sender} with a payload", sender, 1, 8, aux=1, payload=b"a"),
                bad(f"CREDIT from the {sender} with a target", sender, 0, 8, target=TAIL, aux=1),
                bad(f"CREDIT from the {sender}, MORE", sender, 0, 8, flags=1, aux=1),
                bad(f"CREDIT with correlation 0 from the {sender} in a ring", sender, 0, 8, correlation=0, aux=16),
                bad(f"PING from the {sender}, MORE", sender, 1, 10, flags=1, payload=b"a"),
                bad(f"PING of 1009 bytes from the {sender}", sender, 1009, 10, payload=letters(1009)),
            )
        ),
        bad("GOODBYE with a payload", "server", 1, 12, correlation=0, payload=b"a"),
        bad("length 0xFFFFFFFF", "client", 0xFFFFFFFF, 1, target=2),
        bad("length 0x80000000", "client", 0x80000000, 1, target=2),
        bad("length beyond what was published", "client", 9, 1, target=2, payload=b"8 bytes."),
        bad("a record of a quarter and 8 bytes", "client", largest - 16 + 1, 1, target=2,
            payload=letters(largest - 16 + 1), abridged=True),
        bad("an item of a quarter and 8 bytes", "server", largest - 16 + 1, 6, payload=letters(largest - 16 + 1),
            abridged=True),
    ]


# --- handshake ---------------------------------------------------------------------------------------------------


def handshake(name, number, lowest, highest, body):
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    head = b"PILN" + struct.pack("<B", number) + b"\0" + struct.pack("<HHHI", lowest, highest, 0, len(data))
    return {
        "name": name,
        "fields": {"message": number, "lowest": lowest, "highest": highest, "bodyBytes": len(data)},
        "header": head.hex(),
        "bodyHex": data.hex(),
        "bytes": (head + data).hex(),
        "body": body,
    }


def handshakes():
    hello = {
        "contract": "audit", "clientId": "0123456789abcdef", "names": NAMES, "transports": ["shm", "socket"],
        "ringBytes": [262144, 262144], "maxMessageBytes": 16777216, "features": [], "pid": 4711,
        "runtime": "node 20.20.2",
    }
    socket_only = {**hello, "transports": ["socket"], "noShmReason": "no addon: ünïcödé and \"quotes\""}
    welcome = {
        "contract": "audit", "transport": "shm", "names": [NAMES[3], NAMES[0], NAMES[2]],
        "maxMessageBytes": 16777216, "features": [], "serverId": "fedcba9876543210", "pid": 4712,
        "runtime": "python 3.11.7",
    }
    return [
        handshake("HELLO with shared memory", 1, 1, 1, hello),
        handshake("HELLO with an arena", 1, 1, 1, {**hello, "arenaBytes": 1048576}),
        handshake("HELLO without shared memory", 1, 1, 1, socket_only),
        handshake("HELLO from the future that still speaks version 1", 1, 1, 3,
                  {**hello, "features": ["tracing"], "colour": {"unknown": ["fields", "are", "ignored"]}}),
        handshake("HELLO with counters", 1, 1, 1, {**hello, "counters": {"bytes": 65536}}),
        handshake("HELLO with counters that cannot be shared", 1, 1, 1, {**hello, "noCountersReason": "no memfd"}),
        handshake("HELLO of a takeover", 1, 1, 1, {**hello, "names": [], "transports": ["socket"], "takeover": True}),
        handshake("WELCOME with shared memory", 2, 1, 1, welcome),
        handshake("WELCOME without shared memory", 2, 1, 1,
                  {**welcome, "transport": "socket", "reason": "no descriptor came with HELLO"}),
        handshake("WELCOME without counters", 2, 1, 1, {**welcome, "noCountersReason": "no interest"}),
    ] + [
        handshake(f"REFUSE {code}", 3, 1, 1, {"code": f"ERR_PILLION_{code}", "message": message})
        for code, message in (
            ("VERSION", "the client speaks 2 to 9, this server 1"), ("CONTRACT", "this server speaks \"audit\""),
            ("FORBIDDEN", "uid 1001 is not allowed"), ("BAD_SEGMENT", "seals 0x2"), ("BUSY", "64 clients"),
            ("PROTOCOL", "the body is not JSON"),
        )
    ]


# --- segment -----------------------------------------------------------------------------------------------------


def page0(header, one, two, arena, control):
    """The first 0x800 bytes of a segment."""
    data = bytearray(0x800)
    words = {
        0x000: 0x314E4C50, 0x004: 1, 0x008: header + one + two + arena, 0x00C: header,
        0x010: header, 0x014: one, 0x018: header + one, 0x01C: two,
        0x020: header + one + two if arena else 0, 0x024: arena, **control,
    }
    for offset, value in words.items():
        data[offset:offset + 4] = struct.pack("<I", value)
    return data, words


CONTROL = {
    "0.tail": 0x400, "0.head": 0x480, "0.parked": 0x500, "0.starved": 0x580,
    "1.tail": 0x600, "1.head": 0x680, "1.parked": 0x700, "1.starved": 0x780,
}


def segment(name, header, one, two, arena=0, **control):
    data, words = page0(header, one, two, arena, {CONTROL[key.replace("_", ".")[1:]]: value for key, value in control.items()})
    return {
        "name": name,
        "segmentBytes": header + one + two + arena,
        "headerBytes": header,
        "rings": [{"dataOffset": header, "capacity": one}, {"dataOffset": header + one, "capacity": two}],
        "arena": {"offset": header + one + two, "bytes": arena} if arena else None,
        "words": {f"0x{offset:03x}": struct.pack("<I", value).hex() for offset, value in sorted(words.items())},
        "page0": bytes(data).hex(),
    }


def ring(name, capacity, head, made):
    """A ring of zeros with these records from position head on."""
    image = bytearray(capacity)
    position, listed = head, []
    for item in made:
        data = bytes.fromhex(item["record"])
        for number, byte in enumerate(data):
            image[(position + number) % capacity] = byte
        listed.append({
            "position": position, "offset": position % capacity, "wraps": position % capacity + len(data) > capacity,
            **item,
        })
        position = (position + len(data)) % 2**32
    return {"name": name, "capacity": capacity, "head": head, "tail": position,
            "used": (position - head) % 2**32, "records": listed, "image": bytes(image).hex()}


def rings():
    def event(number, length):
        return frame(f"event of {length}", "EVENT", target=2, correlation=number, payload=letters(length))

    return [
        ring("empty", 4096, 0, []),
        ring("three records at the start", 4096, 0, [event(1, 0), event(2, 5), event(3, 16)]),
        ring("a payload across the end", 4096, 4096 - 40, [event(1, 64), event(2, 1)]),
        ring("a header across the end, 8 and 8", 4096, 4096 - 8, [event(1, 20), event(2, 0)]),
        ring("a record that ends at the end", 4096, 4096 - 32, [event(1, 16), event(2, 16)]),
        ring("only padding beyond the end", 4096, 4096 - 16, [event(1, 1), event(2, 0)]),
        ring("positions across 2^32", 4096, 2**32 - 48, [event(1, 20), event(2, 40), event(3, 3)]),
        ring("positions across 2^32 and a header across the end", 4096, 2**32 - 8, [event(1, 9), event(2, 2)]),
        ring("exactly full: four records of a quarter", 4096, 1024 + 8, [event(number, 1008) for number in range(4)]),
        ring("a second lap", 4096, 3 * 4096 + 4000, [event(1, 100), event(2, 7)]),
    ]


# --- counters ----------------------------------------------------------------------------------------------------


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")


def entry(kind, number, cells, text):
    """Header, cells, text, zeros to a multiple of 64."""
    data = struct.pack("<4I", 0, kind, len(text), number) + struct.pack(f"<{len(cells)}d", *cells) + text
    while len(data) % 64:
        data += b"\0"
    return struct.pack("<I", len(data)) + data[4:]


def counters(name, size, metrics, series):
    """A memory in which each metric stands right before its first series. `series` are (metric, labels, numbers)."""
    image, order, listed, snapshot = b"", [], [], []
    for index, values, numbers in series:
        metric = metrics[index]
        if index not in order:
            order.append(index)
            image += entry(1, 0, [], compact(metric))
        told = {key: metric[key] for key in ("name", "kind", "help", "unit")}
        told["labels"] = dict(zip(metric["labels"], values))
        if metric["kind"] == "histogram":
            bounds = [float("-inf"), *metric["buckets"], float("inf")]
            counts = [sum(low < number <= high for number in numbers) for low, high in zip(bounds, bounds[1:])]
            cells = [sum(numbers), *counts]
            told.update(count=len(numbers), sum=sum(numbers), buckets=[
                {"le": bound, "count": sum(counts[:position + 1])}
                for position, bound in enumerate([*metric["buckets"], None])])
        else:
            cells = [sum(numbers)]
            told["value"] = sum(numbers)
        image += entry(2, order.index(index), cells, compact(values))
        listed.append({"metric": metric["name"], "kind": metric["kind"], "labels": told["labels"], "numbers": numbers})
        snapshot.append(told)
    header = struct.pack("<4I", 0x434E4C50, 1, size, 128) + bytes(48) + struct.pack("<I", len(image)) + bytes(60)
    return {"name": name, "bytes": size, "used": len(image), "metrics": metrics, "series": listed,
            "image": (header + image).hex(), "snapshot": snapshot}


def memories():
    requests = {"name": "requests", "kind": "counter", "labels": ["method", "status"], "help": "Requests served", "unit": ""}
    inflight = {"name": "inflight", "kind": "gauge", "labels": [], "help": "", "unit": "requests"}
    latency = {"name": "latency", "kind": "histogram", "labels": ["route"], "buckets": [0.125, 0.5, 1, 2.5], "help": "",
               "unit": "seconds"}
    narrow = {"name": "n", "kind": "histogram", "labels": [], "buckets": [-1.5], "help": "é€😀", "unit": ""}
    return [
        counters("nothing counted yet", 4096, [requests], []),
        counters("one gauge below zero", 4096, [inflight], [(0, [], [3, -5.25])]),
        counters("one metric, three sets of labels", 8192, [requests], [
            (0, ["GET", "200"], [1, 1, 0.5]), (0, ["", "ünïcödé \"quoted\""], []), (0, ["PUT", "x" * 256], [2**53 - 1])]),
        counters("all kinds, in the order of their first use", 65536, [requests, inflight, latency, narrow], [
            (2, ["/"], [0.125, 0.25, 0.5, 1, 2, 4, -1]), (1, [], [7]), (0, ["GET", "200"], [12]), (2, ["/é"], []),
            (3, [], [-2, -1.5, -1])]),
    ]


# --- files -------------------------------------------------------------------------------------------------------

ABOUT = "Generated by generate.py from docs/protocol.md. All byte strings are hexadecimal; offsets of words are in hex."


def files():
    return {
        "frames.json": {
            "about": ABOUT, "version": 1, "names": NAMES, "frames": frames(), "messages": messages(),
            "headers": headers(), "reject": {"ringCapacity": 262144, "records": reject()},
        },
        "handshake.json": {"about": ABOUT, "version": 1, "messages": handshakes()},
        "counters.json": {"about": ABOUT, "version": 1, "memories": memories()},
        "segment.json": {
            "about": ABOUT, "version": 1, "controlWords": {key: f"0x{value:03x}" for key, value in CONTROL.items()},
            "names": NAMES,
            "segments": [
                segment("default: two rings of 262144", 4096, 262144, 262144),
                segment("the smallest", 4096, 4096, 4096),
                segment("with an arena", 4096, 262144, 262144, 1048576),
                segment("the smallest with the smallest arena", 4096, 4096, 4096, 4096),
                segment("a large first ring, a header of 64 KiB", 65536, 1073741824, 4096),
                segment("written to before it was connected", 4096, 262144, 262144, _0_tail=0x30),
                segment("positions that will wrap", 4096, 262144, 262144, _0_tail=0xFFFFFF00, _0_head=0xFFFFFF00,
                        _1_tail=0xFFFFFF00, _1_head=0xFFFFFF00),
                segment("a sleeping server, a starved client, a dozing client", 4096, 262144, 262144, _0_tail=262144,
                        _0_head=0, _0_parked=1, _0_starved=1, _1_parked=2),
            ],
            "rings": rings(),
        },
    }


def shorten(item):
    """A long record in `reject` is told by its header and its length, to keep the file small."""
    if item.get("abridged"):
        data = bytes.fromhex(item["record"])
        item["header"], item["recordBytes"] = data[:16].hex(), len(data)
        del item["record"]
    return item


def main():
    check = sys.argv[1:] == ["--check"]
    wrong = 0
    for name, content in files().items():
        if "reject" in content:
            content["reject"]["records"] = [shorten(item) for item in content["reject"]["records"]]
        text = json.dumps(content, ensure_ascii=True, indent=1) + "\n"
        path = os.path.join(HERE, name)
        if check:
            try:
                with open(path, encoding="utf-8") as file:
                    same = file.read() == text
            except OSError:
                same = False
            if not same:
                wrong += 1
                print(f"{name} differs from what generate.py writes", file=sys.stderr)
        else:
            with open(path, "w", encoding="utf-8") as file:
                file.write(text)
            print(f"{name}: {len(text)} characters")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
