#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# The static library inside two shared libraries of a host: as doc/embedding.md says to link them they
# show their own names alone, and both work in one process.
#
#     inside_shared.sh MESON BUILD COMPILER...
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/consumers/install_tree.sh
. "$here/install_tree.sh"
meson=$1 build=$2
shift 2
command -v nm > /dev/null || { echo "skipped: no nm"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

install_tree "$meson" "$build" "$work/root"
find "$library_dir" -name 'libsgt.so*' -exec rm {} +
version=$(pkg-config --modversion sgt)

# link_guest NAME FLAG...: a library that exports the function NAME, the consumer's training.
link_guest() {
    name=$1
    shift
    # shellcheck disable=SC2046 # lists of flags
    $compiler -shared -fPIC -fvisibility=hidden -std=c11 "-DEXPECTED_VERSION=\"$version\"" \
        "-Dmain=__attribute__((visibility(\"default\"))) $name" "$here/consumer.c" \
        -o "$work/$name.so" $(pkg-config --cflags sgt) "$@" $(pkg-config --static --libs sgt)
    nm -D --defined-only "$work/$name.so" | awk 'NF == 3 { print $3 }' > "$work/$name.names"
}

compiler=$*
link_guest one -Wl,--exclude-libs,ALL
link_guest two -Wl,--exclude-libs,ALL
for name in one two; do
    [ "$(cat "$work/$name.names")" = $name ] || { cat "$work/$name.names"; exit 1; }
done

cat > "$work/host.c" << 'END'
#include <dlfcn.h>
#include <stdio.h>

static int run(const char *path, const char *name)
{
    union {
        void *address;
        int (*function)(void);
    } guest;
    void *library = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    guest.address = library ? dlsym(library, name) : NULL;
    if (!guest.address) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    return guest.function();
}

int main(int argc, char **argv)
{
    return argc != 3 || run(argv[1], "one") || run(argv[2], "two") || run(argv[1], "one");
}
END
$compiler -std=c11 "$work/host.c" -o "$work/host" -ldl
"$work/host" "$work/one.so" "$work/two.so"

# Without the option the names do show, or the page need not ask for it.
link_guest open
grep -q '^sgt_model_create$' "$work/open.names"
