#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Loading the shared library runs no code of its own: there is no constructor, destructor or
# resolver in it but the compiler's start-up object, nor anything that hardened hosts refuse.
#
#     constructors.sh LIBRARY
set -eu

library=$1
command -v readelf > /dev/null || {
    echo "skipped: no readelf"
    exit 77
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readelf -W -d -l -r -S -s "$library" > "$work/elf"

failed=0
fail() {
    echo "$library: $1"
    failed=1
}

# frame_dummy and __do_global_dtors_aux of crtbegin: one pointer each; on ARM libgcc looks which
# atomic instructions there are. -ffast-math would add a constructor that changes the floating-point
# mode of the whole process.
entries=1
grep -q ' init_have_lse_atomics$' "$work/elf" && entries=2
for array in INIT_ARRAYSZ FINI_ARRAYSZ; do
    bytes=$(sed -n "s/.*($array) *\([0-9]*\) (bytes)/\1/p" "$work/elf")
    [ "${bytes:-0}" -le $((8 * entries)) ] || fail "$array is $bytes: more than the compiler's own"
done
grep -q ' \.ctors\| \.preinit_array' "$work/elf" && fail "it has constructors"
grep -q 'IRELATIV' "$work/elf" && fail "it has resolvers that run while it is loaded"
grep -q '(TEXTREL)' "$work/elf" && fail "it has relocations in its code"
grep -q '(NODELETE)' "$work/elf" && fail "it cannot be unloaded"
grep 'GNU_STACK' "$work/elf" | grep -q 'E ' && fail "it needs a stack that is executable"
grep -q '(SONAME)' "$work/elf" || fail "it has no soname"

# Libraries it brings into the host: libc and its parts, and what doc/abi.md names.
sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' "$work/elf" | tee "$work/needed"
[ -s "$work/needed" ] || fail "readelf tells nothing of it"
known='libc\|libm\|libpthread\|libdl\|libgcc_s\|ld-linux[-a-z0-9]*\|libjansson\|libblis'
grep -v "^\($known\)\.so" "$work/needed" && fail "it needs more than it should"
exit "$failed"
