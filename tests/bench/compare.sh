#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Training and decoding against PyTorch and transformers: the same work at the same shapes, run in
# turn so that both see the same machine, and the ratios of the medians.
#
#   sh tests/bench/compare.sh [--quick | --decode] [--install-torch] [--rounds N]
#
# All of it takes about an hour on two cores; --quick is one round of the smaller
# shape of training, --decode is decoding alone.
# Python: $PYTHON, or build-bench/venv (made, with the CPU build of PyTorch 2.13, only when asked by
# --install-torch). Without PyTorch the library's own figures are printed alone.
set -eu
cd "$(dirname "$0")/../.."
quick=0 decode=0 install=0 rounds=3
while [ $# -gt 0 ]; do
    case $1 in
    --quick) quick=1 rounds=1 ;;
    --decode) decode=1 ;;
    --install-torch) install=1 ;;
    --rounds) rounds=$2; shift ;;
    *) sed -n '3,13p' "$0"; exit 2 ;;
    esac
    shift
done
threads=${THREADS:-2}
dir=build-bench
if [ ! -f $dir/build.ninja ]; then
    meson setup $dir -Dbench=true -Dtests=false -Dexamples=false --buildtype=release >/dev/null
fi
ninja -C $dir >/dev/null
bench=$dir/tests/bench/bench_train

python=${PYTHON:-}
if [ $install = 1 ] && [ ! -x $dir/venv/bin/python ]; then
    python3 -m venv $dir/venv
    $dir/venv/bin/pip install -q torch==2.13.0 transformers numpy
fi
[ -n "$python" ] || { [ -x $dir/venv/bin/python ] && python=$dir/venv/bin/python; } || python=python3
torch=1
$python -c 'import torch' 2>/dev/null || { torch=0; echo "no PyTorch for $python: own figures only"; }
# Of the allocators at hand the one that reuses pages best: glibc returns a step's memory each time.
preload=
for name in libtcmalloc_minimal.so.4 libjemalloc.so.2; do
    [ -n "$preload" ] && break
    preload=$(ldconfig -p | awk -v n=$name '$1 == n { print $NF; exit }')
done

out=$dir/compare
mkdir -p $out

# name, seconds of steps for ours and theirs, options of both
shape() {
    name=$1 steps=$2
    shift 2
    i=0
    while [ $i -lt "$rounds" ]; do
        $bench "$@" --threads "$threads" --steps "$steps" --json $out/$name-sgt-$i.json >$out/$name-sgt-$i.txt
        if [ $torch = 1 ]; then
            LD_PRELOAD=$preload $python tests/bench/peer_torch.py "$@" --threads "$threads" \
                --steps "$steps" --json $out/$name-eager-$i.json >/dev/null
            if LD_PRELOAD=$preload $python tests/bench/peer_torch.py "$@" \
                --threads "$threads" --steps "$steps" --compile --json $out/$name-compiled-$i.json \
                >/dev/null 2>$out/$name-compiled-$i.log; then :; fi
        fi
        i=$((i + 1))
    done
    python3 tests/bench/compare_table.py "$name" $out
}

# name, plan, pairs, options
overhead() {
    name=$1 plan=$2 steps=$3
    shift 3
    $bench "$@" --plan "$plan" --threads "$threads" --steps "$steps" --json $out/$name.json >$out/$name.txt
    python3 tests/bench/compare_table.py --overhead "$name" $out
}

# Decoding at the paper's shape; the peer is transformers' generate with its cache.
decoding() {
    echo "decoding, d 1024, 16 layers, 16 heads, ff 4096, V 50304, one sequence after 128 tokens"
    i=0
    while [ $i -lt "$rounds" ]; do
        $dir/tests/bench/bench_decode --threads "$threads" --json $out/decode-sgt-$i.json \
            >$out/decode-sgt-$i.txt
        if [ $torch = 1 ] && $python -c 'import transformers' 2>/dev/null; then
            LD_PRELOAD=$preload $python tests/bench/peer_transformers.py --threads "$threads" \
                --json $out/decode-peer-$i.json >/dev/null
        fi
        i=$((i + 1))
    done
    python3 tests/bench/compare_table.py --decode $out
}

if [ $decode = 1 ]; then
    decoding
    exit 0
fi
S="--d-model 512 --layers 8 --heads 8 --ff 2048 --vocab 256"
P="--d-model 1024 --layers 16 --heads 16 --ff 4096 --vocab 50304"
echo "shape S: d 512, 8 layers, 8 heads, ff 2048, V 256, B 4, T 512"
shape S 9 $S --batch 4 --seq 512
if [ $quick = 1 ]; then
    overhead S-sgt sgt:3,2 9 $S --batch 4 --seq 512
    exit 0
fi
echo "shape P: d 1024, 16 layers, 16 heads, ff 4096, V 50304, B 1, T 1024"
shape P 3 $P --batch 1 --seq 1024
echo "overhead of depth plans (measured, and by FLOPs)"
overhead S-sgt sgt:3,2 31 $S --batch 4 --seq 512
overhead S2048-sgt sgt:3,2 41 $S --batch 1 --seq 2048
overhead P-sgt sgt:3,2 15 $P --batch 1 --seq 1024
overhead P-allheads allheads:3 9 $P --batch 1 --seq 1024
overhead P-blocks blocks:3 9 $P --batch 1 --seq 1024
echo "one thread against two, shape S"
for i in 0 1 2; do
    $bench $S --threads 1 --steps 3 --json $out/scale-1-$i.json >/dev/null
    $bench $S --threads 2 --steps 5 --json $out/scale-2-$i.json >/dev/null
done
python3 tests/bench/compare_table.py --scaling $out
echo "T 4096 with recompute, d 1024, 16 layers, V 50304, B 1"
$bench $P --batch 1 --seq 4096 --recompute --threads "$threads" --steps 1 --json $out/long.json >/dev/null
python3 tests/bench/compare_table.py --overhead long $out
decoding
