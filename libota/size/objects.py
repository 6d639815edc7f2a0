#!/usr/bin/env python3
"""Writes what the measured program works on, from the test vectors, as a C header.

    objects.py VECTORS

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


def limbs(words):
    """The words of a number as limbs of the size of the build."""
    return ", ".join(f"LIMBS({w & 0xFFFF:#06x}, {w >> 16:#06x})" for w in words)


def main():
    vectors = pathlib.Path(sys.argv[1])
    context, keysets = read(vectors / "keyset.txt")
    _, manifests = read(vectors / "manifest.txt")
    responses, answers = read(vectors / "check-response.txt")
    keys = [bytes.fromhex(v) for k, v in context if k == "key"]
    keys = [k for k in keys if len(k) == 268]
    print('#include "ota/rsa.h"')
    print("#if OTA_LIMB_BITS == 32\n#define LIMBS(low, high) (uint32_t)high << 16 | low\n"
          "#else\n#define LIMBS(low, high) low, high\n#endif")
    print("static const struct { uint8_t id[32]; struct ota_rsa_key key; } keys[] = {")
    for k in keys[:6]:
        words = prepared(k)
        ident = ", ".join(f"0x{b:02x}" for b in hashlib.sha256(k).digest())
        print(f"{{{{{ident}}}, {{{words[0]}u, {{{limbs(words[1:65])}}}, {{{limbs(words[65:])}}}}}}},")
    print("};\n#define KEY_RELEASE 5 /* roots a to e, then release 1 */")
    array("world_cose_key", keys[5])
    array("world_keyset", bytes_of(context, "held"))
    array("world_next_keyset", bytes_of(keysets["the next version"], "object"))
    array("world_manifest", bytes_of(manifests["required fields alone"], "object"))
    array("world_response", bytes_of(answers["a manifest"], "object"))
    array("world_down", bytes_of(responses, "down-key"))
    print(f'#define WORLD_DEVICE "{dict(responses)["device"]}"')
    print(f'#define WORLD_NONCE {dict(responses)["nonce"]}')


main()
