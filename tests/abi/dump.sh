# SPDX-License-Identifier: BSD-3-Clause
# Sourced: writes down what programs and plug-ins see of the library, as abidw reads it from debug
# information. The source is the headers alone, so that handles stay opaque and nothing of this
# machine gets in; soname and symbol versions are those of the library.
#
#     dump_abi SOURCE OUT LIBRARY CC      OUT/libsgt.abi, OUT/plugin.abi

dump_abi() {
    include=$1/include
    soname=$(readelf -W -d "$3" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')
    mkdir -p "$2"
    for what in library plugin; do
        map=
        [ $what = plugin ] || map=-Wl,--version-script,$1/lib/sgt.map
        python3 "$1/tests/abi/declarations.py" $what "$include" > "$2/$what.c"
        # shellcheck disable=SC2086 # the command may have arguments
        (cd "$2" && $4 -std=c11 -g -O0 -w -fPIC -shared "-I$include" $what.c -o $what.so \
            "-Wl,-soname,$soname" $map)
    done
    write_down "$2/library.so" > "$2/libsgt.abi"
    write_down "$2/plugin.so" > "$2/plugin.abi"
}

write_down() {
    abidw --no-corpus-path --no-comp-dir-path --no-show-locs --no-elf-needed --no-parameter-names \
        --no-write-default-sizes --drop-undefined-syms --exported-interfaces-only \
        --type-id-style hash "$1"
}
