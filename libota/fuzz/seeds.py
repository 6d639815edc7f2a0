#!/usr/bin/env python3
"""Writes the objects of the test vectors as files, one for each: seeds for a fuzzer.

    seeds.py FOLDER FILE.txt...
"""
import hashlib
import pathlib
import sys

folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
for path in sys.argv[2:]:
    for line in pathlib.Path(path).read_text().splitlines():
        key, _, value = line.partition(": ")
        if key in ("item", "object", "held"):
            data = bytes.fromhex(value)
            (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
