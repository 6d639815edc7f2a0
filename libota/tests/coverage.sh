#!/bin/sh
# Branch coverage: every branch of the library is taken by a test, or its line stands in
# tests/coverage_excused.txt. It is run from libota/.
#
#   coverage.sh DIRECTORY FLAGS MEASURED TEST…
#
# MEASURED is a list of sources. A TEST is its sources, --, and its arguments; what is measured
# among the sources is compiled once for all tests.
set -eu
dir=$1 flags=$2 measured=$3
shift 3
rm -rf "$dir"
mkdir -p "$dir"

for f in $measured; do
    # shellcheck disable=SC2086 # lists of words
    gcc $flags -O0 --coverage -c "$PWD/$f" -o "$dir/$(basename "$f" .c).o"
done
for run in "$@"; do
    sources=
    for f in ${run%% --*}; do
        case " $measured " in
        *" $f "*) sources="$sources $dir/$(basename "$f" .c).o" ;;
        *) sources="$sources $f" ;;
        esac
    done
    # shellcheck disable=SC2086
    gcc $flags -O2 $sources --coverage -o "$dir/run"
    # shellcheck disable=SC2086
    "$dir/run" ${run#* --} >"$dir/out" || { cat "$dir/out" >&2; exit 1; }
done

: >"$dir/untaken"
for f in $measured; do
    name=$(basename "$f" .c)
    (cd "$dir" && gcov -b -c "$name.gcda" >"$name.summary" 2>/dev/null)
    awk -v name="$name.c" '
        /^ *[0-9#=-]+[*]?: *[0-9]+:/ { line = $0; sub(/^[^:]*:[^:]*: */, "", line) }
        /^branch/ { all++; if (/taken 0|never executed/) { print name ": " line > "/dev/stderr"; not++ } }
        END { printf "coverage: %-18s %3d of %3d branches\n", name, all - not, all }' "$dir/$name.c.gcov" 2>>"$dir/untaken"
    grep -h '#####' "$dir/$name.c.gcov" | sed "s/^[^:]*:[^:]*: */$name.c: /" >>"$dir/untaken" || true
done
sort -u "$dir/untaken" >"$dir/untaken.sorted"
grep -v '^#' tests/coverage_excused.txt | sort -u >"$dir/excused"
if ! comm -23 "$dir/untaken.sorted" "$dir/excused" | (! grep .) >"$dir/missed"; then
    echo "coverage: no test takes a branch of:" >&2
    cat "$dir/missed" >&2
    exit 1
fi
if ! comm -13 "$dir/untaken.sorted" "$dir/excused" | (! grep .) >"$dir/needless"; then
    echo "coverage: excused without need:" >&2
    cat "$dir/needless" >&2
    exit 1
fi
echo "coverage: every branch is taken but for $(wc -l <"$dir/excused") excused lines (tests/coverage_excused.txt)"
