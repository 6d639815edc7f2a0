#!/usr/bin/env python3
"""Measures libota on every target and holds it against size/budgets.toml.

    size.py BUILD VECTORS README SOURCE.c...

Flash is what the linker keeps of the library for the entry points of a feature set, without
libc and libgcc; a call of a helper of theirs, which a part may not have, is a breach, and so is a
byte of static RAM. Instructions and stack are counted under QEMU by size/count.c. Prints tables in
Markdown and puts them between the marks of README; in CI they have to stand there already. Ends
with 1 if something is over its budget or cannot be measured.
"""
import concurrent.futures
import os
import pathlib
import re
import sys
import tomllib

import mbedtls
from targets import TARGETS, need, prepare, run

# Entry points of the feature sets whose flash is measured.
KEYSETS = ["ota_keyset_accept"]
OBJECTS = ["ota_manifest_verify", "ota_keyset_open", "ota_rollback_check", "ota_rollback_check_return", "ota_release_of"]
MESSAGES = ["ota_check_request_encode", "ota_report_encode", "ota_check_response_open", "ota_check_named"]
SESSION = ["ota_update_open", "ota_update_begin", "ota_update_write", "ota_update_finish", "ota_update_install",
           "ota_update_confirm", "ota_update_reject", "ota_update_return", "ota_device_info"]
KEYED = [*MESSAGES, "ota_journal_nonce"]
ROTATION = [*KEYSETS, "ota_update_keyset", "ota_update_held"]
AB, OVERWRITE = ["ota_boot", "ota_layout_ab"], ["ota_boot", "ota_layout_overwrite"]
FEATURES = {
    "verify": ["ota_verify"],
    "prepare a key": ["ota_rsa_prepare"],
    "objects, fixed keyset": OBJECTS,
    "objects": OBJECTS + KEYSETS,
    "objects and messages": OBJECTS + KEYSETS + MESSAGES,
    "boot stage, L1": AB,
    "boot stage, L3": OVERWRITE,
    "boot stage, L1, and verify": [*AB, "ota_verify"],
    "update, L1, no device key, fixed keyset": OBJECTS + SESSION + AB,
    "update, L1, no device key": OBJECTS + SESSION + ROTATION + AB,
    "whole library, L1": OBJECTS + SESSION + ROTATION + KEYED + AB,
    "whole library, L3": OBJECTS + SESSION + ROTATION + KEYED + OVERWRITE,
    "whole library, L1 and L3": OBJECTS + SESSION + ROTATION + KEYED + AB + OVERWRITE,
}

# What size/measured.c and size/update_bench.c measure, in their order.
MEASURED = ["nothing", "verify", "verify a manifest", "accept a keyset", "check rollback", "open a response",
            "encode a request", "prepare a key", "hash 256 bytes"]
BUS = "begin, from a bus"
UPDATE_MEASURED = ["start", "open a session", "begin", BUS, "write a page of 1 KB", "write 3 KB more", "finish 4 KB", "install",
                   "start on trial", "open it on trial", "confirm"]

NOT_SHOWN = {"nothing", "write 3 KB more", "open it on trial"}  # they serve the others
RAM = ["update", "update, device key", "update, manifest behind a bus", "update, device key, manifest behind a bus"]

# The same verification on the host by our own verifier and by Debian's library.
# name: (sources, libraries).
PEERS = {
    "libota": (["tests/key_builtin.c", "src/rsa_pss.c", "src/rsa_row.c", "src/sha256.c"], []),
    "mbedTLS": (["tests/key_cose.c", "ports/crypto_mbedtls.c"], ["-lmbedcrypto"]),
}
PEER_CORE = [f"src/{name}.c" for name in ("bytes", "cbor", "cose", "source")]


def feature(target, build, sources, entries):
    """Returns flash, RAM that the linker reserves, and the helpers that are called but not there."""
    program = build / f"{target.name}-feature.elf"
    done = run([*target.compiler(build), *(f"-Wl,-u,{e}" for e in entries), f"-Wl,-e,{entries[0]}",
                "-Wl,--warn-unresolved-symbols", *sources, "-o", program])
    text, data, bss = map(int, run([target.tools + "size", program]).stdout.splitlines()[1].split()[:3])
    return text + data, data + bss, sorted(set(re.findall("undefined references? to `(.*?)'", done.stderr)))


def emulate(target, build, sources, bench, names):
    """Returns name: (instructions, stack), and what the program wrote."""
    program = build / f"{target.name}.elf"
    target.link(build, program, [*bench, *sources])
    rows = target.count(build, program)
    if len(rows) != len(names) + 1:
        sys.exit(f"{target.name}: {len(rows) - 1} measurements, want {len(names)}")
    calls = rows[0][0]  # of doing nothing
    return {name: (count - calls, stack) for name, (count, stack) in zip(names, rows)}, rows[-1]


def peers(build):
    """Returns a row for each peer: flash, instructions, stack and heap on amd64."""
    flags = ["-std=gnu11", "-Os", "-fno-pie", "-no-pie", "-static", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
             "-Iinclude", "-Isrc", "-Isize", f"-I{build}"]
    rows = []
    for name, (sources, libraries) in PEERS.items():
        program, library = build / f"peer-{name}", build / f"peer-{name}.elf"
        run(["gcc", *flags, "-Wl,--wrap=calloc,--wrap=free", "size/peer.c", "size/peer_host.c", *PEER_CORE, *sources, *libraries, "-o", program])
        run(["gcc", *flags, "-nostdlib", "-Wl,-u,ota_verify,-e,ota_verify,--warn-unresolved-symbols", *sources,
             "src/bytes.c", "src/source.c", *libraries, "-o", library])
        text, data = map(int, run(["size", library]).stdout.splitlines()[1].split()[:2])
        at = {line.split()[-1]: line.split()[0] for line in run(["nm", program]).stdout.splitlines() if len(line.split()) == 3}
        done = run(["qemu-x86_64", "-plugin", f"{build / 'count.so'},begin=0x{at['size_begin']},end=0x{at['size_end']}", program])
        (calls, _), (count, stack) = [tuple(map(int, line.split())) for line in done.stderr.splitlines()]
        rows.append([f"{name}, amd64", f"{text + data:,}", f"{count - calls:,}", f"{stack:,}", f"{int(done.stdout):,}"])
    return rows


class Budgets:
    """What CI holds the measurements against, and what did not hold."""

    def __init__(self, path):
        self.tables, self.over = tomllib.loads(path.read_text()), []

    def held(self, table, name, target, value):
        """Returns a cell: the value, and its budget if it has one."""
        budget = self.tables[table].get(name, {}).get(target.name)
        if budget is None:
            return f"{value:,}"
        if value <= budget:
            return f"{value:,} / {budget:,}"
        self.over.append(f"{target.name}: {table} of {name}: {value:,}, budget {budget:,}")
        return f"{value:,} / {budget:,} **over**"


def measure(target, build, sources, bench, names):
    flash = {name: feature(target, build, sources, entries) for name, entries in FEATURES.items()}
    return flash, *emulate(target, build, sources, bench, names)


def table(title, names, rows):
    lines = [f"| {title} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def ours(text):
    """The lines that are the same in every run: a peer's depend on its package and on where the program stands."""
    return [line for line in text.splitlines() if not line.startswith("| mbedTLS")]


def put_into(readme, text):
    """Puts tables between the marks; in CI ours have to be there."""
    begin, end = "<!-- measured by make size -->\n", "<!-- end -->"
    before, rest = readme.read_text().split(begin)
    after = f"{before}{begin}{text}\n{end}{rest.split(end, 1)[1]}"
    if ours(after) == ours(readme.read_text()):
        return True
    if os.environ.get("CI") == "true":
        print(f"{readme} tells other numbers: run make size and commit it", file=sys.stderr)
        return False
    readme.write_text(after)
    return True


def main():
    build, vectors, readme, sources = prepare(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4:]
    need(TARGETS, "qemu-x86_64")
    budgets = Budgets(pathlib.Path("size/budgets.toml"))
    (build / "objects.h").write_text(run([sys.executable, "size/objects.py", vectors, "update"]).stdout)
    run(["cc", "-O2", "-shared", "-fPIC", "size/count.c", "-o", build / "count.so"])
    bench, names = ["size/measured.c", "size/update_bench.c"], MEASURED + UPDATE_MEASURED
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(lambda t: measure(t, build, sources, bench, names), TARGETS))

    shown = [name for name in names if name not in NOT_SHOWN]
    rows = {kind: {name: [name] for name in order} for kind, order in
            (("flash", FEATURES), ("instructions", shown), ("stack", shown), ("ram", RAM))}
    for target, (flash, counts, (state, keyed, _)) in zip(TARGETS, results):
        for name, (size, ram, helpers) in flash.items():
            if helpers:
                budgets.over.append(f"{target.name}: {name}: calls {' '.join(helpers)}, which a part may not have")
            if ram != 0:
                budgets.over.append(f"{target.name}: {name}: {ram} bytes of static RAM, budget 0")
            rows["flash"][name].append(budgets.held("flash", name, target, size))
        for name in shown:
            rows["instructions"][name].append(budgets.held("instructions", name, target, counts[name][0]))
            rows["stack"][name].append(budgets.held("stack", name, target, counts[name][1]))
        peak = max(counts[name][1] for name in UPDATE_MEASURED if name != BUS)
        bus = max(peak, counts[BUS][1])
        for name, value in zip(RAM, (state + peak, keyed + peak, state + bus, keyed + bus)):
            rows["ram"][name].append(budgets.held("ram", name, target, value))
    columns = [t.name for t in TARGETS]
    titles = {"flash": "flash, bytes", "instructions": "instructions", "stack": "stack, bytes", "ram": "RAM, bytes"}
    # Where it cannot be measured, what was measured before stays.
    again = mbedtls.measure(build) or [line.split(" | ") for line in re.findall(rf"^\| ({mbedtls.NAME} .*) \|$", readme.read_text(), re.M)]
    compared = [*peers(build), *again]
    text = "\n\n".join([*(table(titles[kind], columns, rows[kind].values()) for kind in rows),
                        table("verify", ["flash, bytes", "instructions", "stack, bytes", "heap, bytes"], compared)])
    print(text)
    good = put_into(readme, text)
    for line in budgets.over:
        print("over budget: " + line, file=sys.stderr)
    sys.exit(bool(budgets.over) or not good)


if __name__ == "__main__":
    main()
