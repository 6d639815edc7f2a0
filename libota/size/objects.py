#!/usr/bin/env python3
"""Writes what the measured program works on, from the test vectors, as a C header.

    objects.py VECTORS [update]

A prepared key is written as the library has it on a little-endian part with limbs of
either size: -1/n modulo 2^32, n, and R^2 modulo n, the least significant byte first.
"""
import hashlib
import pathlib
import sys


def read(path):
    """Returns the context of a file and its vectors by name, as lists of (key, value)."""
    context, vectors, current = [], {}, None
    for line in path.read_text().splitlines():
        if not line or line.startswith("#"):
            continue
        key, _, value = line.partition(":")
        value = value.strip()
        if key == "vector":
            current = vectors.setdefault(value, [])
        elif current is None:
            context.append((key, value))
        else:
            current.append((key, value))
    return context, vectors


def bytes_of(lines, key):
    return bytes.fromhex(dict(lines)[key])


def array(name, data):
    text = ", ".join(f"0x{b:02x}" for b in data)
    print(f"static const uint8_t {name}[{len(data)}] = {{{text}}};")


def prepared(cose_key):
    n = int.from_bytes(cose_key[7:263], "big")
    words = [-pow(n, -1, 1 << 32) % (1 << 32)]
    for number in (n, pow(2, 4096, n)):
        words += [number >> 32 * i & 0xFFFFFFFF for i in range(64)]
    return words


# A word as limbs, for a build of either size.
LIMBS = ("#if OTA_LIMB_BITS == 32\n#define LIMBS(low, high) (uint32_t)high << 16 | low\n"
         "#else\n#define LIMBS(low, high) low, high\n#endif")


def limbs(words):
    """The words of a number as limbs of the size of the build."""
    return ", ".join(f"LIMBS({w & 0xFFFF:#06x}, {w >> 16:#06x})" for w in words)


def prepared_key(cose_key):
    """Such a key as a struct ota_rsa_key in C."""
    words = prepared(cose_key)
    return f"{{{words[0]}u, {{{limbs(words[1:65])}}}, {{{limbs(words[65:])}}}}}"


def stream(seed, size):
    """So many bytes that follow from a seed."""
    return b"".join(hashlib.sha256(f"{seed} {i}".encode()).digest() for i in range(-(-size // 32)))[:size]


def prime(seed):
    """A prime of 1,024 bits that follows from a seed, for a key of no worth."""
    p = int.from_bytes(stream(seed, 128), "big") | 3 << 1022 | 1
    while any(p % small == 0 for small in (3, 5, 7, 11, 13, 17, 19, 23, 29)) or pow(2, p - 1, p) != 1 or p % 65537 == 1:
        p += 2
    return p


def sign(p, q, message):
    """RSASSA-PSS with SHA-256, MGF1-SHA-256 and salt 32 (RFC 8017 section 8.1.1)."""
    salt = stream("salt", 32)
    h = hashlib.sha256(bytes(8) + hashlib.sha256(message).digest() + salt).digest()
    db = bytes(190) + b"\x01" + salt
    mask = b"".join(hashlib.sha256(h + i.to_bytes(4, "big")).digest() for i in range(7))
    em = bytearray(x ^ y for x, y in zip(db, mask)) + h + b"\xbc"
    em[0] &= 0x7F
    return pow(int.from_bytes(em, "big"), pow(65537, -1, (p - 1) * (q - 1)), p * q).to_bytes(256, "big")


def head(major, n):
    for size, info in ((0, n), (1, 24), (2, 25), (4, 26), (8, 27)):
        if (size == 0 and n < 24) or (size > 0 and n < 1 << 8 * size):
            return bytes([major << 5 | info]) + n.to_bytes(size, "big") if size else bytes([major << 5 | n])


def item(value):
    """Deterministic CBOR of numbers, strings, lists and maps in the order of their keys."""
    if isinstance(value, int):
        return head(0, value) if value >= 0 else head(1, -1 - value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value)) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(item, value))
    return head(5, len(value)) + b"".join(item(k) + item(v) for k, v in value.items())


IMAGE_SIZE = 4096


def update():
    """A release for the update that is measured: its image follows from a formula, its key from a name."""
    p, q = prime("p"), prime("q")
    cose_key = b"\xa3\x01\x03\x20\x59\x01\x00" + (p * q).to_bytes(256, "big") + b"\x21\x43\x01\x00\x01"
    ident = hashlib.sha256(cose_key).digest()
    image = bytes((i * 31 ^ i >> 8) & 0xFF for i in range(IMAGE_SIZE))
    payload = item({0: 1, 1: "acme", 2: "sensor_v1", 5: 1 << 32 | 2, 6: "1.1.0", 7: 1, 8: IMAGE_SIZE,
                    9: hashlib.sha256(image).digest(), 10: 0, 11: 1, 15: 1 << 32 | 1})
    body, signer = item({16: 65102}), item({1: -37, 4: ident[:8]})
    value = sign(p, q, item(["Signature", body, signer, b"", payload]))
    keys = item({0: 1, 1: "acme", 2: "sensor_v1", 3: 1, 4: [[stream("root", 32), -37]], 5: 1, 6: [[ident, -37, 1]], 7: 1, 8: 0})
    print(f"static const struct ota_rsa_key update_key = {prepared_key(cose_key)};")
    array("update_key_id", ident)
    array("update_keyset", b"\xd8\x62" + item([item({16: 65101}), {}, keys, []]))
    array("update_manifest", b"\xd8\x62" + item([body, {}, payload, [[signer, {}, value]]]))
    array("update_digest", hashlib.sha256(image).digest())
    print(f"enum {{ UPDATE_SIZE = {IMAGE_SIZE} }};")


def main():
    vectors = pathlib.Path(sys.argv[1])
    context, keysets = read(vectors / "keyset.txt")
    _, manifests = read(vectors / "manifest.txt")
    responses, answers = read(vectors / "check-response.txt")
    keys = [bytes.fromhex(v) for k, v in context if k == "key"]
    keys = [k for k in keys if len(k) == 268]
    print('#include "ota/rsa.h"')
    print(LIMBS)
    print("static const struct { uint8_t id[32]; struct ota_rsa_key key; } keys[] = {")
    for k in keys[:6]:
        ident = ", ".join(f"0x{b:02x}" for b in hashlib.sha256(k).digest())
        print(f"{{{{{ident}}}, {prepared_key(k)}}},")
    print("};\n#define KEY_RELEASE 5 /* roots a to e, then release 1 */")
    array("world_cose_key", keys[5])
    array("world_keyset", bytes_of(context, "held"))
    array("world_next_keyset", bytes_of(keysets["the next version"], "object"))
    array("world_manifest", bytes_of(manifests["required fields alone"], "object"))
    array("world_response", bytes_of(answers["a manifest"], "object"))
    array("world_down", bytes_of(responses, "down-key"))
    print(f'#define WORLD_DEVICE "{dict(responses)["device"]}"')
    print(f'#define WORLD_NONCE {dict(responses)["nonce"]}')
    if sys.argv[2:] == ["update"]:
        update()


if __name__ == "__main__":
    main()
