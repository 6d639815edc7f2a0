"""The verification by mbedTLS on a Cortex-M3: Debian's sources, compiled like ours, with the smallest
configuration that does it. Debian has no binary for such a part."""
import pathlib
import subprocess

from targets import TARGETS, run

LIBRARY = ("bignum", "constant_time", "md", "oid", "platform_util", "rsa", "rsa_internal", "sha256")
PORT = ["tests/key_cose.c", "ports/crypto_mbedtls.c"]
CORE = [f"src/{name}.c" for name in ("bytes", "cbor", "cose", "source")]
NAME = "mbedTLS, M3"


def sources_of_apt():
    """The lines of the machine's own sources, for source packages."""
    lines = []
    for path in [pathlib.Path("/etc/apt/sources.list"), *sorted(pathlib.Path("/etc/apt/sources.list.d").glob("*"))]:
        text = path.read_text() if path.is_file() else ""
        if path.suffix == ".sources" and "debian" in text:
            lines.append(("sources", text.replace("Types: deb\n", "Types: deb-src\n")))
        elif path.suffix == ".list":
            debian = [line for line in text.splitlines() if line.startswith("deb ") and "debian" in line]
            lines.append(("list", "".join(line.replace("deb ", "deb-src ", 1) + "\n" for line in debian)))
    return lines


def fetch(folder):
    """Returns the folder of mbedTLS's sources, or None if Debian's archive cannot be reached."""
    for part in ("parts", "lists/partial", "archives/partial", "source"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for i, (kind, text) in enumerate(sources_of_apt()):
        (folder / "parts" / f"{i}.{kind}").write_text(text)
    apt = ["apt-get", "-q", "-o", "Dir::Etc::sourcelist=/dev/null"]
    apt += [f"-oDir::{key}={folder.absolute() / value}" for key, value in
            (("Etc::sourceparts", "parts"), ("State::lists", "lists"), ("Cache::archives", "archives"), ("Cache", "."))]
    try:
        for command in (["update"], ["source", "--download-only", "mbedtls"]):
            subprocess.run([*apt, *command], cwd=folder / "source", check=True, capture_output=True, timeout=120)
        subprocess.run("tar xzf mbedtls_*.orig.tar.gz --strip-components=1", shell=True, cwd=folder / "source", check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return folder / "source"


def measure(build):
    """Returns a row (name, flash, instructions, stack, heap), or nothing if there are no sources."""
    target, folder = TARGETS[0], build / "mbedtls"
    source = folder / "source"
    if not (source / "library" / "rsa.c").exists():
        source = fetch(folder)
    if source is None:
        print("mbedTLS was not measured on M3: Debian's archive of sources cannot be reached")
        return []
    flags = [f"-I{source}/include", f"-I{source}/library", "-isystem", "size", '-DMBEDTLS_CONFIG_FILE="mbedtls_config.h"', "-std=gnu11"]
    library = [source / "library" / f"{name}.c" for name in LIBRARY]
    alone, program = build / "peer-m3-flash.elf", build / "peer-m3.elf"
    run([*target.compiler(build), *flags, "-Wl,-u,ota_verify,-e,ota_verify", "-Wl,--warn-unresolved-symbols", *PORT, "src/bytes.c",
         "src/source.c", *library, "-o", alone])
    text, data = map(int, run([target.tools + "size", alone]).stdout.splitlines()[1].split()[:2])
    target.link(build, program, [*flags, "-Wl,--wrap=calloc,--wrap=free", "size/peer.c", "size/peer_board.c", *PORT, *CORE, *library, "-lgcc"],
                ram=0x10000)
    (calls, _), (count, stack), (heap,) = target.count(build, program)
    return [[NAME, f"{text + data:,}", f"{count - calls:,}", f"{stack:,}", f"{heap:,}"]]
