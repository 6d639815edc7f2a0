#!/usr/bin/env python3
"""Writes the objects of the test vectors as files, one for each: seeds for a fuzzer. An identity, which no
vector is, stands beside them.

    seeds.py FOLDER FILE.txt...
"""
import hashlib
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
identity = bytes.fromhex("a8000101616102616203616304010558200658200761")  # and between them two keys, behind them a letter
(folder / "identity").write_bytes(identity[:17] + b"u" * 32 + identity[17:20] + b"d" * 32 + identity[20:] + b"B")
for path in sys.argv[2:]:
    for line in pathlib.Path(path).read_text().splitlines():
        key, _, value = line.partition(": ")
        if key in ("item", "object", "held"):
            data = bytes.fromhex(value)
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
