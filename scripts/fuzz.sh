#!/bin/sh
# Runs every fuzz target of the module, one line each.
#
#   scripts/fuzz.sh 30s      each for half a minute
#   scripts/fuzz.sh 500x     each with 500 inputs beyond its seeds
set -eu
go=${GO:-go}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for pkg in $("$go" list ./...); do
    for target in $("$go" test -list '^Fuzz' "$pkg" | grep '^Fuzz' || true); do
        if ! "$go" test -run '^$' -fuzz "^$target\$" -fuzztime "$1" "$pkg" >"$log" 2>&1; then
            cat "$log"
            exit 1
        fi
        echo "fuzz $1 ${pkg#*/*/*/} $target"
    done
done
