#!/bin/sh
# Plants faults in copies of the sources and expects the campaign to find each: a campaign
# that finds nothing proves nothing. It is run from libota/.
#
#   powercut_plant.sh DIRECTORY COMMAND…      COMMAND compiles and links the campaign but for -o FILE
set -eu
dir=$1
shift
rm -rf "$dir"
mkdir -p "$dir/tree"
cp -r src include ports tests "$dir/tree/"

# Everything is compiled once, and then only what a fault was planted in.
flags= sources=
for word in "$@"; do
    case $word in
    *.c) sources="$sources $word" ;;
    *) flags="$flags $word" ;;
    esac
done
object() { echo "$(echo "$1" | tr / _).o"; }
compile() { (cd "$dir/tree" && $flags -c "$1" -o "$(object "$1")"); }
for source in $sources; do compile "$source"; done

# plant NAME FILE SED
plant() {
    name=$1 file=$2 edit=$3
    sed -e "$edit" "$file" >"$dir/tree/$file"
    if cmp -s "$file" "$dir/tree/$file"; then
        echo "planted: $name: $file has no such line any more" >&2
        exit 1
    fi
    compile "$file"
    (cd "$dir/tree" && $flags ./*.o -o powercut)
    if "$dir/tree/powercut" hunt >"$dir/out"; then
        echo "planted: $name: NOT found: $(tail -n 1 "$dir/out")" >&2
        exit 1
    fi
    echo "planted: $name: found"
    cp "$file" "$dir/tree/$file"
    compile "$file"
}

plant "a record's CRC is skipped" src/journal.c \
    's/return ota_crc32(0, r->bytes, body) == .*/return body + CRC;/'
plant "the state is a flag without a check value" src/journal.c \
    's/return ota_crc32(0, r->bytes, body) ==/return kind_of(r) == OTA_KIND_STATE || ota_crc32(0, r->bytes, body) ==/'
plant "two writes reordered: the page that is whole is written anew first" src/journal.c \
    's/j->first = (uint8_t)older;/j->first = (uint8_t)(1 - older);/'
plant "the copy that was written last, and may be torn, is not known" src/journal.c \
    's/j->first = ((j->page\[0\].turn + NEXT) \& TURN) == j->page\[1\].turn;/j->first = 0;/'
plant "a page is erased and its records are not copied" src/journal.c \
    's/if (kind == j->last)/if (kind != OTA_KINDS)/'
plant "what one page has is acted upon before the other has it" src/journal.c \
    's/for (unsigned i = 0; j->lacks \&\& i < 3; i++)/for (unsigned i = 0; j->number == 0 \&\& i < 3; i++)/'
plant "an ECC word is taken for erased because it reads so" src/journal.c \
    's/f->writes > 1 ? RENEW : REWRITE/RENEW/'
plant "a nonce is used before its block is reserved" src/journal.c \
    's/store_counter(j, used + OTA_NONCE_BLOCK,/store_counter(j, used + 1,/'
plant "two writes reordered: the mark before the page" src/update.c \
    's/u->state.mark = u->received;/u->state.mark = u->received + ota_area_page(area, u->received);/'
plant "two writes reordered: the mark before the copy" src/slot_overwrite.c \
    's/s->mark = next;/s->mark = next + ota_area_page(to, next);/'
plant "a try is not counted before the jump" src/boot.c \
    's/s->tries--;/;/'
plant "the staging slot is not checked before it is copied" src/boot.c \
    's/err = examine_origin(b, CANDIDATE);/err = OTA_OK;/'
plant "the floor does not rise with the confirmation" src/trial.c \
    's/s->floor_counter = h.floor_counter;/;/'
