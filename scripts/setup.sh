#!/bin/sh
# Sees to what `make demo` and `make test` need. As root on Debian it installs
# what is missing; otherwise it names the packages and lets run what can run.
# In CI (CI=true) a missing tool is a failure.
#
#   scripts/setup.sh demo|test|screenshots
set -eu

# command or file:package, the same names that a person would type.
demo_needs="go:golang arm-none-eabi-gcc:gcc-arm-none-eabi qemu-system-arm:qemu-system-arm"
# The race detector links against libc, whose headers are a package of their own.
test_needs="go:golang gcc:gcc /usr/include/stdlib.h:libc6-dev openssl:openssl fw_setenv:libubootenv-tool strace:strace systemd-analyze:systemd chromium:chromium nginx:nginx taskset:util-linux /usr/bin/time:time
    /usr/lib/postgresql/*/bin/initdb:postgresql"
# libota: compilers for its parts, machines to run them on, libraries and tools to hold it against.
libota_needs="
    arm-none-eabi-gcc:gcc-arm-none-eabi /usr/include/newlib/stdlib.h:libnewlib-arm-none-eabi riscv64-unknown-elf-gcc:gcc-riscv64-unknown-elf
    xtensa-lx106-elf-gcc:gcc-xtensa-lx106 avr-gcc:gcc-avr /usr/lib/avr/include/stdlib.h:avr-libc
    i686-linux-gnu-gcc:gcc-i686-linux-gnu /usr/i686-linux-gnu/include/stdlib.h:libc6-dev-i386-cross
    s390x-linux-gnu-gcc:gcc-s390x-linux-gnu /usr/s390x-linux-gnu/include/stdlib.h:libc6-dev-s390x-cross
    qemu-system-arm:qemu-system-arm qemu-system-riscv32:qemu-system-misc qemu-s390x:qemu-user
    clang:clang /usr/lib/llvm-14/lib/clang/*/lib/linux:libclang-rt-14-dev valgrind:valgrind cppcheck:cppcheck
    /usr/include/mbedtls/version.h:libmbedtls-dev /usr/include/openssl/evp.h:libssl-dev python3:python3"

screenshots_needs="go:golang chromium:chromium pngquant:pngquant /usr/share/fonts/opentype/inter:fonts-inter"

case "${1:-}" in
demo) needs=$demo_needs ;;
test) needs="$test_needs $libota_needs" ;;
screenshots) needs=$screenshots_needs ;;
*) echo "usage: scripts/setup.sh demo|test|screenshots" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=""
set -f # the patterns are for ls below
for entry in $needs; do
    what=${entry%%:*} package=${entry##*:}
    command -v "$what" >/dev/null 2>&1 || sh -c "ls -d $what" >/dev/null 2>&1 || case " $missing " in
    *" $package "*) ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0

case "$missing" in
*golang*)
    echo "Go is missing: install Go 1.26 or later (https://go.dev/dl); Debian's own package is older." >&2
    exit 1 ;;
esac

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing:$missing" >&2
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    # shellcheck disable=SC2086 # a list of words
    if { apt-get update && apt-get install -y --no-install-recommends $missing; } >"$log" 2>&1; then
        rm -f "$log"
        exit 0
    fi
    tail -n 20 "$log" >&2
    rm -f "$log"
    echo "could not install:$missing" >&2
else
    echo "missing packages:$missing" >&2
    echo "install them with: sudo apt-get install$missing" >&2
fi
[ "${CI:-}" != true ] || exit 1
echo "going on without them; what needs them says so" >&2
