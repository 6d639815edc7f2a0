#!/usr/bin/env python3
"""Writes shared vectors in JSON as files of vectors (testvectors/README.md), so that the
tests in C need no parser of JSON: Wycheproof's RSA-PSS and HMAC, and the lists and orders of
semantic versions.

    shared_vectors.py FOLDER_OF_VECTORS FOLDER_TO_WRITE

Of Wycheproof "acceptable" is refused: the policy has no exceptions. A count that differs from
what the file itself says ends the program.
"""
import json
import pathlib
import sys

ACCEPT = "expect: accept"


def cose_key(modulus, exponent):
    """The COSE_Key of an RSA key in deterministic CBOR."""
    n = bytes.fromhex(modulus).lstrip(b"\0")
    e = bytes.fromhex(exponent).lstrip(b"\0")
    head = b"\xa3\x01\x03\x20\x59" + len(n).to_bytes(2, "big")
    return (head + n + b"\x21" + bytes([0x40 | len(e)]) + e).hex()


def bare(group, test):
    key = group["publicKey"]
    return ["key: " + cose_key(key["modulus"], key["publicExponent"]), "message: " + test["msg"],
            "signature: " + test["sig"]]


def hmac(group, test):
    return ["mac-key: " + test["key"], "message: " + test["msg"], "tag: " + test["tag"]]


def wycheproof(path, kind, lines):
    suite = json.loads(path.read_text())
    vectors = []
    for group in suite["testGroups"]:
        for test in group["tests"]:
            expect = ACCEPT if test["result"] == "valid" else "expect: refuse 7 signature does not verify"
            vectors.append([f"vector: {test['tcId']} {test['comment']}", *lines(group, test), expect])
    if len(vectors) != suite["numberOfTests"]:
        sys.exit(f"{path}: {len(vectors)} tests, the file says {suite['numberOfTests']}")
    return kind, vectors


def versions(folder):
    vectors = []
    for name, expect in (("valid", ACCEPT), ("invalid", "expect: refuse 5 invalid field")):
        for i, text in enumerate(json.loads((folder / f"{name}.json").read_text())):
            vectors.append([f"vector: {name} {i}", "text: " + text.encode().hex(), expect])
    return "version", vectors


def orders(folder):
    """Every pair of the chain and the traps, both ways round."""
    order = json.loads((folder / "order.json").read_text())
    chain = order["chain_ascending"]
    pairs = [(a, b, (i > j) - (i < j)) for i, a in enumerate(chain) for j, b in enumerate(chain)]
    pairs += [(p["a"], p["b"], p["cmp"]) for p in order["pairs"]] + [(p["b"], p["a"], -p["cmp"]) for p in order["pairs"]]
    words = {-1: "older", 0: "same", 1: "newer"}
    return "version-order", [[f"vector: {i}", "text: " + a.encode().hex(), "other: " + b.encode().hex(), "order: " + words[c], ACCEPT]
                             for i, (a, b, c) in enumerate(pairs)]


def main():
    source, target = map(pathlib.Path, sys.argv[1:])
    target.mkdir(parents=True, exist_ok=True)
    files = {"hmac": wycheproof(source / "wycheproof/hmac_sha256_test.json", "hmac", hmac),
             "version": versions(source / "semver"), "version-order": orders(source / "semver")}
    for bits in (2048, 3072):
        path = source / f"wycheproof/rsa_pss_{bits}_sha256_mgf1_32_test.json"
        files[f"rsa-pss-{bits}"] = wycheproof(path, "bare", bare)
    for name, (kind, vectors) in files.items():
        lines = [f"kind: {kind}"]
        for vector in vectors:
            lines += ["", *(line.rstrip() for line in vector)]
        (target / f"{name}.txt").write_text("\n".join(lines) + "\n")


main()
