#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# From a fresh Debian 12 or 13 to a model that writes: installs what is missing, builds the library
# and the examples in build-quickstart/, trains for at most four minutes, draws what happened, and has
# the model go on with a passage it has not seen. What an earlier run left is moved to
# build-quickstart/earlier-N/.
#
#     examples/quickstart.sh          five novels of Jane Austen, the sixth held out
#     examples/quickstart.sh TEXT     your own text, its last twentieth held out
#
# Run it as root, or as a user with sudo. The novels come from Debian's r-cran-janeaustenr, which is
# unpacked, not installed.
set -eu

PACKAGES="gcc libc6-dev meson ninja-build pkg-config python3 librandom123-dev libblis-serial-dev
    libjansson-dev libxxhash-dev python3-numpy python3-matplotlib"
NOVELS="emma mansfield_park northanger_abbey pride_and_prejudice sense_and_sensibility"
HELD_OUT=persuasion
LOG=build-quickstart/run.jsonl
PICTURE=build-quickstart/report.png
CHECKPOINTS=build-quickstart/checkpoints

say() {
    printf '\n== %s\n' "$*"
}

die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "'$*' needs root: run this as root or install sudo"
    fi
}

install_packages() {
    missing=
    for package in $PACKAGES; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$status" = installed ] || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    say "Installing$missing"
    as_root apt-get -q update
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends $missing
}

build() {
    say "Building in build-quickstart/"
    if [ ! -f build-quickstart/build.ninja ]; then
        meson setup build-quickstart --buildtype=release \
            -Dblis=enabled -Dtests=false -Dexamples=true
    fi
    ninja -C build-quickstart
}

# apt-get knows where to download from once its lists have been fetched.
download_novels() {
    cd "$1" || return 1
    apt-get -q -o APT::Sandbox::User=root download r-cran-janeaustenr && return 0
    as_root apt-get -q update
    apt-get -q -o APT::Sandbox::User=root download r-cran-janeaustenr
}

fetch_novels() {
    folder=build-quickstart/austen
    [ -f "$folder/train.txt" ] && return 0
    say "Unpacking the novels into $folder/"
    mkdir -p "$folder"
    (download_novels "$folder") || die "the package of the novels could not be downloaded"
    for archive in "$folder"/r-cran-janeaustenr_*.deb; do
        dpkg-deb -x "$archive" "$folder/package"
    done
    python3 examples/extract_austen.py \
        "$folder/package/usr/lib/R/site-library/janeaustenr/data/Rdata.rdb" "$folder"
    for novel in $NOVELS; do
        cat "$folder/$novel.txt"
    done >"$folder/train.part"
    mv "$folder/train.part" "$folder/train.txt"
}

keep_earlier_run() {
    [ -e $CHECKPOINTS ] || return 0
    n=1
    while [ -e build-quickstart/earlier-$n ]; do
        n=$((n + 1))
    done
    mkdir build-quickstart/earlier-$n
    for left in $CHECKPOINTS $LOG $PICTURE; do
        [ ! -e "$left" ] || mv "$left" build-quickstart/earlier-$n
    done
    echo "what an earlier run left is now in build-quickstart/earlier-$n/"
}

# From the log, by Debian's Python, which has the packages; other ones may come first in PATH.
draw_picture() {
    /usr/bin/python3 -c 'import matplotlib, numpy' 2>/dev/null || return 0
    if SGT_LIBRARY=build-quickstart/lib/libsgt.so PYTHONPATH=bindings/python/src \
        PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 -m libsgt report $LOG -o $PICTURE >/dev/null; then
        echo "picture of the training: $PICTURE"
    fi
}

# Three whole lines of the last $2 bytes of the text $1, or the end of one that has none.
passage() {
    found=$(tail -c "$2" "$1" | LC_ALL=C sed '1d; /./!d' | head -n 3 | head -c 240)
    [ -n "$found" ] || found=$(tail -c 100 "$1")
    printf '%s' "$found"
}

[ $# -le 1 ] || die "one TEXT at most"
[ -f /etc/debian_version ] || die "this script is for Debian"
text=
if [ $# -eq 1 ]; then
    [ -r "$1" ] || die "'$1' cannot be read"
    text=$(realpath "$1")
fi
cd "$(dirname "$0")/.."

install_packages
build
# The same steps on every machine that can take them in four minutes, else as many as fit.
set -- --layers 4 --d-model 192 --heads 6 --batch 4 --seq 256 --lr 3e-3 --seed 1 --samples 0 \
    --steps 2500 --minutes 4 --log $LOG --checkpoint $CHECKPOINTS
if [ -z "$text" ]; then
    fetch_novels
    text=build-quickstart/austen/train.txt
    unseen=build-quickstart/austen/$HELD_OUT.txt
    set -- "$@" --held-out "$unseen"
    prompt=$(passage "$unseen" 300000)
else
    prompt=$(passage "$text" $(($(wc -c <"$text") / 20)))
fi
say "Training on $text (Ctrl-C ends it early)"
keep_earlier_run
trap : INT # the training hears it, and the script goes on
build-quickstart/examples/train_text "$text" "$@"
draw_picture
say "Going on with a passage the model has not seen: three lines, then its own"
build-quickstart/examples/generate $CHECKPOINTS "$prompt" \
    --tokens 500 --temperature 0.7 --top-p 0.95 --quiet
printf "\nnow try: build-quickstart/examples/generate %s 'Emma said'\n" $CHECKPOINTS
