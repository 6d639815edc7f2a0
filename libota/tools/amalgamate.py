#!/usr/bin/env python3
"""Writes the library as one header and one source.

    amalgamate.py FOLDER SOURCE.c...

FOLDER/ota.h is what stands in include/ota, FOLDER/ota.c the sources with their private
headers. What two sources call by the same name and keep to themselves is called after its
source there; their macros end with them. The result depends on nothing but the files.
"""
import collections
import pathlib
import re
import sys

INCLUDE = re.compile(r'^#include "(.+)"\n', re.M)
# The built-in crypto port, which another one can take the place of.
BUILTIN = {"rsa_pss", "rsa_row", "sha256"}


def in_order(paths, find):
    """Returns the headers that the files include, each behind those that it includes."""
    seen = {}

    def visit(path):
        if path not in seen:
            seen[path] = None
            for name in INCLUDE.findall(path.read_text()):
                visit(find(name))
            seen[path] = seen.pop(path)  # to the end

    for path in paths:
        visit(path)
    return list(seen)


def without_includes(text):
    return re.sub(r"\n{3,}", "\n\n", INCLUDE.sub("", text)).strip() + "\n"


def private(text):
    """Returns what a source defines for itself: functions, data, types and constants."""
    names = set(re.findall(r"^(?:OTA_\w+ )*static [^;={(]*?(\w+)(?=[\[(;]| =)", text, re.M))
    names |= set(re.findall(r"^struct (\w+) \{", text, re.M))
    names |= set(re.findall(r"^typedef [^;]*?(\w+)(?:\[[^\n]*\])?;", text, re.M))
    for body in re.findall(r"^enum(?: \w+)? \{(.*?)\};", text, re.M | re.S):
        names |= set(re.findall(r"\b([A-Z]\w*)\b(?=\s*[=,}]|\s*$)", re.sub(r"/\*.*?\*/", "", body, flags=re.S)))
    return names


def main():
    folder, sources = pathlib.Path(sys.argv[1]), [pathlib.Path(s) for s in sys.argv[2:]]
    public = sorted(pathlib.Path("include/ota").glob("*.h"))

    def find(name):
        near, far = pathlib.Path("src") / name, pathlib.Path("include") / name
        return near if near.exists() else far

    header = ["/* libota in one header. Written by tools/amalgamate.py. */\n#ifndef OTA_AMALGAMATED_H\n#define OTA_AMALGAMATED_H\n"]
    header += [without_includes(p.read_text()) for p in in_order(public, find) if p.name != "ota.h"]
    (folder / "ota.h").write_text("\n".join(header) + "\n#endif\n")

    texts = {s: s.read_text() for s in sources}
    owners = collections.Counter(name for text in texts.values() for name in private(text))
    code = ['/* libota in one source. Written by tools/amalgamate.py.\n * With OTA_WITHOUT_BUILTIN it leaves '
            'the crypto port to another source. */\n#include "ota.h"\n']
    code += [without_includes(p.read_text()) for p in in_order(sources, find) if p.parent.name == "src" and p.suffix == ".h"]
    for source, text in texts.items():
        for name in sorted(private(text)):
            if owners[name] > 1:
                own = f"{source.stem}_{name}" if name.islower() else f"{source.stem.upper()}_{name}"
                text = re.sub(rf"(?<![.>\w]){name}\b", own, text)
        macros = "".join(f"#undef {m}\n" for m in re.findall(r"^#define (\w+)", text, re.M))
        part = f"/* ---- {source} ---- */\n\n{without_includes(text)}{macros}"
        if source.stem in BUILTIN:
            part = f"#ifndef OTA_WITHOUT_BUILTIN\n{part}#endif\n"
        code.append(part)
    (folder / "ota.c").write_text("\n".join(code))


main()
