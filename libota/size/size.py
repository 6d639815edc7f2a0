#!/usr/bin/env python3
"""Measures libota for every target and holds it against the budget.

    size.py BUILD VECTORS README SOURCE.c...

Flash is what the linker keeps of the library for the entry points of a feature, without
libc and libgcc; a call of a helper of theirs, which a part may not have, is a breach.
Instructions and stack are counted under QEMU by size/count.c. Prints tables in Markdown, and puts them
between the marks of README. Ends with 1 if something is over its budget or cannot be measured.
"""
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import sys

FLAGS = ("-std=c99 -Os -ffreestanding -fno-tree-loop-distribute-patterns -ffunction-sections -fdata-sections "
         "-nostdlib -Wl,--gc-sections -Iinclude -Isrc -Isize").split()


@dataclasses.dataclass
class Target:
    name: str
    tools: str          # prefix of the compiler
    flags: list         # that choose the part
    emulator: list      # without the program
    board: str
    code: int           # address of flash
    ram: int
    budget: dict        # of what is in Target.budget of the design


CORTEX_M = ["-semihosting", "-kernel"]
TARGETS = [
    Target("M3", "arm-none-eabi-", ["-mcpu=cortex-m3", "-mthumb"], ["qemu-system-arm", "-M", "mps2-an385", *CORTEX_M],
           "cortex_m", 0, 0x20000000,
           {"verify": 2048, "boot stage": 4096, "whole library": 6656, "stack": 800, "instructions": 1_600_000}),
    Target("M0", "arm-none-eabi-", ["-mcpu=cortex-m0", "-mthumb"], ["qemu-system-arm", "-M", "microbit", *CORTEX_M],
           "cortex_m", 0, 0x20000000,
           {"verify": 2048, "boot stage": 4608, "whole library": 7168, "stack": 800, "instructions": 6_600_000}),
    Target("rv32imac", "riscv64-unknown-elf-", ["-march=rv32imac", "-mabi=ilp32"],
           ["qemu-system-riscv32", "-M", "virt", "-bios", "none", "-kernel"], "riscv", 0x80000000, 0x80100000,
           {"verify": 2304, "whole library": 7680, "stack": 800, "instructions": 2_200_000}),
    Target("lx106", "xtensa-lx106-elf-", [], ["qemu-system-xtensa", "-M", "sim", "-cpu", "lx106", "-semihosting",
                                              "-device"], "lx106", 0x60000000, 0x60080000,
           {"verify": 2304, "whole library": 7680, "stack": 850, "instructions": 5_600_000}),
]

# Entry points of the features whose flash is measured. Those of the last two are linked
# only if the sources have them.
OBJECTS = ["ota_manifest_verify", "ota_keyset_open", "ota_keyset_accept", "ota_rollback_check",
           "ota_rollback_check_return", "ota_release_of"]
MESSAGES = ["ota_check_request_encode", "ota_report_encode", "ota_check_response_open", "ota_check_named"]
UPDATE = ["ota_update_open", "ota_update_begin", "ota_update_write", "ota_update_finish", "ota_update_install",
          "ota_update_confirm", "ota_update_reject", "ota_update_return", "ota_update_keyset", "ota_device_info",
          "ota_journal_nonce"]
FEATURES = {
    "verify": ["ota_verify"],
    "prepare a key": ["ota_rsa_prepare"],
    "objects": OBJECTS,
    "objects and messages": OBJECTS + MESSAGES,
    "boot stage": ["ota_boot"],
    "whole library": OBJECTS + MESSAGES + UPDATE + ["ota_boot"],
}

# What size/measured.c measures, in its order.
MEASURED = ["nothing", "verify", "verify a manifest", "accept a keyset", "check rollback", "open a response",
            "encode a request", "prepare a key", "hash 256 bytes"]


def run(command, **options):
    """Runs a command and returns what it wrote; a failure ends the program."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


class Measurement:
    def __init__(self, target, build, sources):
        self.target, self.build, self.sources = target, build, sources
        self.compiler = [target.tools + "gcc", *target.flags, *FLAGS, f"-I{build}"]

    def symbols(self, program):
        lines = run([self.target.tools + "nm", program]).stdout.splitlines()
        return {line.split()[-1]: int(line.split()[0], 16) for line in lines if len(line.split()) == 3}

    def sections(self, program):
        """Returns bytes of flash, and bytes of RAM that the linker reserves."""
        text, data, bss = map(int, run([self.target.tools + "size", program]).stdout.splitlines()[1].split()[:3])
        return text + data, data + bss

    def feature(self, entries):
        """Returns flash, RAM, and the helpers that are called but not there."""
        program = self.build / f"{self.target.name}-feature.elf"
        keep = [f"-Wl,-u,{entry}" for entry in entries]
        done = run([*self.compiler, *keep, f"-Wl,-e,{entries[0]}", "-Wl,--warn-unresolved-symbols", *self.sources,
                    "-o", program])
        helpers = set(re.findall("undefined references? to `(.*?)'", done.stderr))
        return *self.sections(program), sorted(helpers)

    def emulate(self):
        """Returns (instructions, stack) of everything measured."""
        t, program = self.target, self.build / f"{self.target.name}.elf"
        places = {"CODE": t.code, "RAM": t.ram, "RAM_SIZE": 0x4000}
        if t.board == "cortex_m":
            places["start"] = 0
        run([*self.compiler, "-T", "size/board.ld", *(f"-Wl,--defsym={k}={v:#x}" for k, v in places.items()),
             "size/measured.c", f"size/board_{t.board}.c", *self.sources, "-o", program])
        at = self.symbols(program)
        load = f"loader,file={program},cpu-num=0" if t.emulator[-1] == "-device" else program
        plugin = f"{self.build / 'count.so'},begin={at['size_begin']:#x},end={at['size_end']:#x},stack={at['bss_end']:#x}"
        done = run([*t.emulator, load, "-display", "none", "-serial", "none", "-monitor", "none", "-plugin", plugin],
                   timeout=300)
        rows = [tuple(map(int, line.split())) for line in done.stderr.splitlines()]
        if len(rows) != len(MEASURED):
            sys.exit(f"{t.name}: {len(rows)} measurements, want {len(MEASURED)}\n{done.stderr}")
        calls = rows[0][0]  # of doing nothing
        return {name: (count - calls, stack) for name, (count, stack) in zip(MEASURED, rows)}


def defined(sources):
    text = "".join(pathlib.Path(s).read_text() for s in sources)
    return lambda entry: f" {entry}(" in text


# The same verification on the host by our own verifier and by the library that most
# devices of its size have. name: (sources, libraries).
PEERS = {
    "libota": (["tests/key_builtin.c", "src/rsa_pss.c", "src/rsa_row.c", "src/sha256.c"], []),
    "mbedTLS": (["tests/key_cose.c", "ports/crypto_mbedtls.c"], ["-lmbedcrypto"]),
}
PEER_CORE = [f"src/{name}.c" for name in ("bytes", "cbor", "cose", "source")]


def peers(build):
    """Returns a row for each peer: flash, instructions, stack and heap on amd64."""
    flags = ["-std=gnu11", "-Os", "-fno-pie", "-no-pie", "-static", "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
             "-Iinclude", "-Isrc", "-Isize", f"-I{build}"]
    rows = []
    for name, (sources, libraries) in PEERS.items():
        program, library = build / f"peer-{name}", build / f"peer-{name}.elf"
        run(["gcc", *flags, "-Wl,--wrap=calloc,--wrap=free", "size/peer.c", *PEER_CORE, *sources, *libraries, "-o", program])
        run(["gcc", *flags, "-nostdlib", "-Wl,-u,ota_verify,-e,ota_verify,--warn-unresolved-symbols", *sources,
             "src/bytes.c", "src/source.c", *libraries, "-o", library])
        text, data = map(int, run(["size", library]).stdout.splitlines()[1].split()[:2])
        at = {line.split()[-1]: line.split()[0] for line in run(["nm", program]).stdout.splitlines() if len(line.split()) == 3}
        done = run(["qemu-x86_64", "-plugin", f"{build / 'count.so'},begin=0x{at['size_begin']},end=0x{at['size_end']}", program])
        (calls, _), (count, stack) = [tuple(map(int, line.split())) for line in done.stderr.splitlines()]
        rows.append([name, number(text + data), number(count - calls), number(stack), number(int(done.stdout))])
    return rows


def number(value, budget=None):
    text = f"{value:,}"
    if budget is None:
        return text
    return f"{text} / {budget:,}" + (" **over**" if value > budget else "")


def table(title, names, rows):
    lines = [f"| {title} | " + " | ".join(names) + " |", "|---|" + "---:|" * len(names)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def put_into(readme, text):
    begin, end = "<!-- measured by make size -->\n", "<!-- end -->"
    before, rest = readme.read_text().split(begin)
    readme.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}")


def main():
    build, vectors, readme, sources = pathlib.Path(sys.argv[1]), sys.argv[2], pathlib.Path(sys.argv[3]), sys.argv[4:]
    wanted = {t.tools + "gcc" for t in TARGETS} | {t.emulator[0] for t in TARGETS} | {"qemu-x86_64"}
    missing = sorted(tool for tool in wanted if shutil.which(tool) is None)
    if missing:
        print("skipped: not installed: " + " ".join(missing))
        sys.exit(os.environ.get("CI") == "true")
    build.mkdir(parents=True, exist_ok=True)
    (build / "objects.h").write_text(run([sys.executable, "size/objects.py", vectors]).stdout)
    run(["cc", "-O2", "-shared", "-fPIC", "size/count.c", "-o", build / "count.so"])

    over = []
    flash = {name: [name] for name, entries in FEATURES.items() if all(map(defined(sources), entries))}
    counts = {name: [name] for name in MEASURED[1:]}
    stacks = {name: [name] for name in MEASURED[1:]}
    for target in TARGETS:
        measurement = Measurement(target, build, sources)

        def held(what, value, key):
            budget = target.budget.get(key)
            if budget is not None and value > budget:
                over.append(f"{target.name}: {what}: {value:,}, budget {budget:,}")
            return number(value, budget)

        for name, row in flash.items():
            size, ram, helpers = measurement.feature(FEATURES[name])
            if helpers:
                over.append(f"{target.name}: {name}: calls {' '.join(helpers)}, which a part may not have")
            if ram != 0:
                over.append(f"{target.name}: {name}: {ram} bytes of static RAM, budget 0")
            row.append(held(f"flash of {name}", size, name))
        for name, (count, stack) in measurement.emulate().items():
            if name in counts:
                is_verify = name == "verify"
                counts[name].append(held(f"instructions of {name}", count, "instructions" if is_verify else None))
                stacks[name].append(held(f"stack of {name}", stack, "stack" if is_verify else None))
    names = [t.name for t in TARGETS]
    text = "\n\n".join([table("flash, bytes", names, flash.values()), table("instructions", names, counts.values()),
                        table("stack, bytes", names, stacks.values()),
                        table("verify on amd64", ["flash, bytes", "instructions", "stack, bytes", "heap, bytes"], peers(build))])
    print(text)
    put_into(readme, text)
    for line in over:
        print("over budget: " + line, file=sys.stderr)
    sys.exit(bool(over))


main()
