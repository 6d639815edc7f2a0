#!/usr/bin/env python3
"""Judges the library by the vectors on emulated parts.

    board_vectors.py BUILD TARGETS SOURCE.c... FILE.txt...

TARGETS are names such as M0,M3. The vectors are compiled in, as a header; for a part with little
flash as several, one program each. Objects stay in flash, keys stand there prepared.
"""
import concurrent.futures
import hashlib
import pathlib
import sys

import objects
from targets import TARGETS, need, prepare

RSA_2048 = bytes.fromhex("a3010320590100")
KINDS = {"cbor": "ITEM", "cose-key": "KEY", "keyset": "KEYSET", "manifest": "MANIFEST", "check-response": "RESPONSE"}


class Vector:
    """A vector of a file; its own lines go before those of the context."""

    def __init__(self, kind, name, own, context):
        self.kind, self.name = kind, name
        mine = {k for k, _ in own}
        self.lines = own + [line for line in context if line[0] not in mine]
        expect = self.text("expect").split()
        self.expect = 0 if expect[0] == "accept" else int(expect[1])

    def all(self, key):
        return [v for k, v in self.lines if k == key]

    def text(self, key):
        return next(iter(self.all(key)), "")

    def hex(self, key):
        return bytes.fromhex(self.text(key))

    def number(self, key):
        return int(self.text(key) or 0)

    def has(self, key):
        return bool(self.all(key))


def read(path):
    context, vectors = objects.read(pathlib.Path(path))
    kind = dict(context)["kind"]
    return [Vector(kind, name, own, context) for name, own in vectors.items()]


def head(major, number):
    if number < 24:
        return bytes([major << 5 | number])
    return bytes([major << 5 | 24, number]) if number < 256 else bytes([major << 5 | 25]) + number.to_bytes(2, "big")


def anchor(v):
    """The anchor of a vector, as ota_keyset_anchor reads it."""
    texts = [head(0, i + 1) + head(3, len(t)) + t.encode() for i, t in enumerate((v.text("anchor-vendor"), v.text("anchor-type")))]
    roots = b""
    for root in v.all("anchor-root"):
        ident, alg = root.split()
        roots += b"\x82\x58\x20" + bytes.fromhex(ident) + head(1, -1 - int(alg))
    count = len(v.all("anchor-root"))
    return b"\xa5\x00\x01" + b"".join(texts) + b"\x04" + head(4, count) + roots + b"\x05" + head(0, v.number("anchor-threshold"))


def string(text):
    return "NULL" if text is None else '"' + "".join(c if c not in '"\\' else "\\" + c for c in text) + '"'


def digest(data):
    return "{" + ", ".join(map(str, data)) + "}" if data else "{0}"


def version(data):
    return "{" + str(len(data)) + ", {" + ", ".join(map(str, data or b"\0")) + "}}"


class Header:
    """A header in the making, and how much flash it takes."""

    def __init__(self):
        self.blob, self.places, self.keys, self.worlds = bytearray(), {}, {}, {}
        self.rows = {name: [] for name in ("judged", "written", "signatures", "macs", "texts", "returns")}
        self.size = 0

    def bytes(self, data):
        if data not in self.places:
            self.places[data] = len(self.blob)
            self.blob += data
            self.size += len(data)
        return f"blob + {self.places[data]}"

    def span(self, data):
        return "{" + self.bytes(data) + f", {len(data)}}}"

    def key(self, cose):
        if cose not in self.keys:
            self.size += 556
        return self.keys.setdefault(cose, len(self.keys))

    def world(self, v):
        keys = bytes(self.key(bytes.fromhex(k)) for k in v.all("key"))
        held = v.hex("held")
        history = (f"{{{{{v.number('installed-sequence')}u, 0, 0, 0, {digest(v.hex('installed-digest'))}, "
                   f"{version(v.text('installed-version').encode())}, 1}}, {v.number('floor-epoch')}u, {v.number('floor-counter')}u, "
                   f"{{{digest(v.hex('rejected'))}}}}}")
        device = (f"{{{string(v.text('hardware'))}, {string(v.text('component'))}, {v.number('now')}u, {v.number('slot-size')}u, 0, "
                  f"{v.number('retry-rejected')}}}")
        text = (f"{{{self.span(held or anchor(v))}, {int(not held)}, {self.span(keys)}, {history}, {device}, {string(v.text('device'))}, "
                f"{self.bytes(v.hex('down-key').ljust(32, bytes(1)))}, {v.number('nonce')}u}}")
        if text not in self.worlds:
            self.size += 400
        return f"&worlds[{self.worlds.setdefault(text, len(self.worlds))}]"

    def add(self, v):
        """Adds a vector; returns whether it is one that a device judges."""
        row = getattr(self, "add_" + v.kind.replace("-", "_"), self.add_judged)(v)
        if row is None:
            return False
        table, text = row
        self.rows[table].append("{" + string(v.name) + ", " + text + "}")
        self.size += 400 if table in ("written", "returns") else 160 if table == "texts" else 100
        return True

    def add_judged(self, v):
        data = v.hex("item" if v.kind == "cbor" else "object")
        return "judged", f"{self.world(v)}, {self.span(data)}, {KINDS[v.kind]}, {v.expect}"

    def add_written(self, v, is_report):
        if v.expect != 0 or not v.has("nonce") or not v.has("image-digest") or len(v.hex("up-key")) != 32:
            return None
        names = f"{string(v.text('device'))}, {string(v.text('device-type'))}"
        n = v.number
        request = (f"{{{names}, {string(v.text('hardware'))}, {n('nonce')}u, {n('sequence')}u, {n('keyset-version')}u, {n('boot')}, "
                   f"{n('last-error')}, {n('capabilities')}, {digest(v.hex('image-digest'))}}}")
        report = (f"{{{names}, {string(v.text('detail'))}, {n('nonce')}u, {n('sequence')}u, {n('event')}, {n('reason')}, "
                  f"{digest(v.hex('image-digest'))}, {digest(v.hex('target'))}}}")
        return "written", f"{self.bytes(v.hex('up-key'))}, {self.span(v.hex('object'))}, {int(is_report)}, {request}, {report}"

    def add_check_request(self, v):
        return self.add_written(v, False)

    def add_report(self, v):
        return self.add_written(v, True)

    def add_bare(self, v):
        if v.expect in (3, 5):  # refused before the signature is looked at
            return None
        return "signatures", f"{self.key(v.hex('key'))}, {self.span(v.hex('message'))}, {self.span(v.hex('signature'))}, {int(v.expect == 0)}"

    def add_hmac(self, v):
        key = v.hex("mac-key")
        if len(key) > 32:
            if len(key) <= 64:
                return None  # no key of 32 bytes is the same
            key = hashlib.sha256(key).digest()
        return "macs", f"{self.span(key.ljust(32, bytes(1)))}, {self.span(v.hex('message'))}, {self.span(v.hex('tag'))}, {int(v.expect == 0)}"

    def add_version(self, v):
        if len(v.hex("text")) > 64:
            return None
        return "texts", f"{version(v.hex('text'))}, {version(b'')}, {int(v.expect == 0)}, 0, 0"

    def add_version_order(self, v):
        order = {"older": -1, "same": 0, "newer": 1}[v.text("order")]
        return "texts", f"{version(v.hex('text'))}, {version(v.hex('other'))}, 1, 1, {order}"

    def add_return(self, v):
        n = v.number
        history = (f"{{{{{n('installed-sequence')}u, {n('oldest-return')}u, 0, 0, {{0}}, {{0, {{0}}}}, 1}}, {n('floor-epoch')}u, "
                   f"{n('floor-counter')}u, {{{{0}}}}}}")
        retained = f"{{{n('retained-sequence')}u, 0, {n('retained-counter')}u, 0, {{0}}, {{0, {{0}}}}, {n('retained-confirmed')}}}"
        return "returns", f"{history}, {retained}, {n('keyset-floor')}u, {v.expect}"

    def write(self, path):
        with open(path, "w") as out:
            out.write(objects.LIMBS + "\n")
            out.write("static const uint8_t blob[] = {" + ",".join(map(str, self.blob or b"\0")) + "};\n")
            names = []
            for i, cose in enumerate(self.keys):
                names.append("NULL")
                if cose.startswith(RSA_2048) and len(cose) == 268:
                    out.write(f"static const struct ota_rsa_key key_{i} = {objects.prepared_key(cose)};\n")
                    names[-1] = f"&key_{i}"
            rows = [f"{{{digest(hashlib.sha256(cose).digest())}, {name}}}" for cose, name in zip(self.keys, names)]
            out.write("static const struct known_key known_keys[] = {" + ", ".join(rows or ["{{0}, NULL}"]) + "};\n")
            out.write("static const struct world worlds[] = {" + ",\n".join(self.worlds or ["{{NULL, 0}}"]) + "};\n")
            for table, struct in zip(self.rows, ("judged", "written", "signature", "mac", "text", "own_return")):
                # The last row ends the table.
                out.write(f"static const struct {struct} {table}[] = {{" + ",\n".join(self.rows[table] + ["{NULL}"]) + "};\n")


def headers(vectors, most):
    """Yields headers that take at most so many bytes each, and how many vectors no device judges."""
    header, others = Header(), 0
    for v in vectors:
        if header.size > most - 16384:
            yield header, others
            header, others = Header(), 0
        others += not header.add(v)
    yield header, others


def judge(target, build, sources, vectors):
    """Runs all vectors on a target; returns a line about it."""
    count = other_build = other_side = 0
    for i, (header, others) in enumerate(headers(vectors, target.flash - 0x6000)):
        folder = prepare(build / f"{target.name}-{i}")
        header.write(folder / "board_vectors.h")
        program = folder / "vectors.elf"
        target.link(folder, program, ["size/board_vectors.c", *sources])
        (judged, unusable, _), = target.start(program)
        count, other_build, other_side = count + judged, other_build + unusable, other_side + others
    if count + other_build + other_side != len(vectors):
        sys.exit(f"{target.name}: {count} + {other_build} + {other_side} vectors, want {len(vectors)}")
    return (f"{target.name:<12}{count} vectors judged, {other_build} need a key that this build cannot use, "
            f"{other_side} are of the server's side")


def main():
    build, names = prepare(sys.argv[1]), sys.argv[2].split(",")
    targets = [t for t in TARGETS if t.name in names]
    need(targets)
    sources = [a for a in sys.argv[3:] if a.endswith(".c")]
    vectors = [v for path in sys.argv[3:] if path.endswith(".txt") for v in read(path)]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for line in pool.map(lambda t: judge(t, build, sources, vectors), targets):
            print(line, flush=True)


if __name__ == "__main__":
    main()
