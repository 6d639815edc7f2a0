"""The parts that are measured, and how a program gets onto them and runs under QEMU."""
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys

FLAGS = ("-std=c99 -Os -ffreestanding -fno-tree-loop-distribute-patterns -ffunction-sections -fdata-sections "
         "-nostdlib -Wl,--gc-sections -Iinclude -Isrc -Isize").split()

# What has which program, where it is not to be had.
PACKAGES = {"arm-none-eabi-gcc": "gcc-arm-none-eabi", "riscv64-unknown-elf-gcc": "gcc-riscv64-unknown-elf",
            "xtensa-lx106-elf-gcc": "gcc-xtensa-lx106", "qemu-system-arm": "qemu-system-arm", "qemu-x86_64": "qemu-user",
            "qemu-system-riscv32": "qemu-system-misc", "qemu-system-xtensa": "qemu-system-misc"}


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    tools: str      # prefix of the compiler
    flags: tuple    # that choose the part
    emulator: tuple # without the program
    board: str
    code: int       # address of flash
    flash: int      # bytes of it that the emulated machine has
    ram: int

    def compiler(self, build):
        return [self.tools + "gcc", *self.flags, *FLAGS, f"-I{build}"]

    def link(self, build, program, sources, ram=0x4000):
        """Links sources for the board, with so many bytes of RAM."""
        places = {"CODE": self.code, "RAM": self.ram, "RAM_SIZE": ram}
        if self.board == "cortex_m":
            places["start"] = 0
        run([*self.compiler(build), "-T", "size/board.ld", *(f"-Wl,--defsym={k}={v:#x}" for k, v in places.items()),
             "size/board.c", f"size/board_{self.board}.c", *sources, "-o", program])

    def start(self, program, *options):
        """Runs a program to its end, which has to be a good one; returns the numbers that the plugin and
        then the program wrote, line by line."""
        load = f"loader,file={program},cpu-num=0" if self.emulator[-1] == "-device" else program
        done = run([*self.emulator, load, "-display", "none", "-serial", "stdio", "-monitor", "none", *options], timeout=600)
        # Semihosting writes to either, behind what the plugin writes as it ends.
        return [list(map(int, line.split())) for line in (done.stderr + done.stdout).splitlines()]

    def count(self, build, program):
        """The same with the plugin: rows of (instructions, stack), then what the program wrote."""
        lines = run([self.tools + "nm", program]).stdout.splitlines()
        at = {line.split()[-1]: int(line.split()[0], 16) for line in lines if len(line.split()) == 3}
        plugin = f"{build / 'count.so'},begin={at['size_begin']:#x},end={at['size_end']:#x},stack={at['bss_end']:#x}"
        return self.start(program, "-plugin", plugin)


CORTEX_M = ("-semihosting-config", "enable=on,target=native", "-kernel")
TARGETS = [
    Target("M3", "arm-none-eabi-", ("-mcpu=cortex-m3", "-mthumb"), ("qemu-system-arm", "-M", "mps2-an385", *CORTEX_M),
           "cortex_m", 0, 0x400000, 0x20000000),
    Target("M0", "arm-none-eabi-", ("-mcpu=cortex-m0", "-mthumb"), ("qemu-system-arm", "-M", "microbit", *CORTEX_M),
           "cortex_m", 0, 0x40000, 0x20000000),
    Target("rv32imac", "riscv64-unknown-elf-", ("-march=rv32imac", "-mabi=ilp32"),
           ("qemu-system-riscv32", "-M", "virt", "-bios", "none", "-kernel"), "riscv", 0x80000000, 0x400000, 0x80400000),
    Target("lx106", "xtensa-lx106-elf-", (), ("qemu-system-xtensa", "-M", "sim", "-cpu", "lx106", "-semihosting", "-device"),
           "lx106", 0x60000000, 0x200000, 0x60200000),
]


def run(command, **options):
    """Runs a command and returns what it wrote; a failure ends the program."""
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, **options)
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done


def need(targets, *more):
    """Ends the program where tools are missing: with an error that names their packages if it is CI."""
    wanted = {t.tools + "gcc" for t in targets} | {t.emulator[0] for t in targets} | set(more)
    missing = sorted({PACKAGES[tool] for tool in wanted if shutil.which(tool) is None})
    if missing:
        print("skipped: Debian's packages are not installed: " + " ".join(missing))
        sys.exit(os.environ.get("CI") == "true")


def prepare(build):
    pathlib.Path(build).mkdir(parents=True, exist_ok=True)
    return pathlib.Path(build)
