#!/bin/sh
# Sees to what `make demo` and `make test` need. As root on Debian it installs
# what is missing; otherwise it names the packages and lets run what can run.
# In CI (CI=true) a missing tool is a failure.
#
#   scripts/setup.sh demo|test
set -eu

# tool:package, the same names that a person would type.
demo_tools="go:golang"
test_tools="go:golang gcc:gcc openssl:openssl fw_setenv:libubootenv-tool strace:strace"

case "${1:-}" in
demo) tools=$demo_tools ;;
test) tools=$test_tools ;;
*) echo "usage: scripts/setup.sh demo|test" >&2; exit 2 ;;
esac

PATH=$PATH:/usr/sbin:/sbin
missing=""
for entry in $tools; do
    command -v "${entry%%:*}" >/dev/null 2>&1 || missing="$missing ${entry##*:}"
done
# The race detector links against libc, whose headers are a package of their own.
if [ "$1" = test ] && [ ! -e /usr/include/stdlib.h ]; then
    missing="$missing libc6-dev"
fi
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
echo "going on without them; tests that need them say so" >&2
