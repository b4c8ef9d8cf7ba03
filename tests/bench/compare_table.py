# SPDX-License-Identifier: BSD-3-Clause
"""Prints the rows of compare.sh from the JSON files of its runs: medians over the rounds."""
import glob
import json
import statistics
import sys


def load(pattern):
    return [json.load(open(name)) for name in sorted(glob.glob(pattern))]


def median(runs, key):
    return statistics.median(run[key] for run in runs)


def shape(name, folder):
    own = load(f"{folder}/{name}-sgt-*.json")
    print(f"  sgt       {median(own, 'tokens_per_s'):9.0f} tokens/s  {median(own, 'gflops'):6.1f} GFLOP/s  "
          f"{100 * median(own, 'gemm_share'):5.1f} % of the GEMM ceiling  "
          f"{100 * median(own, 'peak_share'):5.1f} % of the multiply-add peak")
    print(f"            {median(own, 'steady_allocations'):.0f} allocations and "
          f"{median(own, 'steady_page_faults'):.1f} page faults per steady step, arena "
          f"{median(own, 'arena_bytes') / 1e6:.0f} MB")
    own_extra = median(own, "peak_rss_bytes") - 16 * own[0]["parameters"]
    for kind in ("eager", "compiled"):
        peer = load(f"{folder}/{name}-{kind}-*.json")
        if not peer:
            continue
        ratios = [a["tokens_per_s"] / b["tokens_per_s"] for a, b in zip(own, peer)]
        extra = median(peer, "peak_rss_bytes") - 16 * peer[0]["parameters"]
        print(f"  PyTorch {peer[0]['torch']} {kind:9}{median(peer, 'tokens_per_s'):9.0f} tokens/s: "
              f"sgt is {statistics.median(ratios):.2f} x as fast (rounds {min(ratios):.2f} to {max(ratios):.2f}); "
              f"memory beyond 16 bytes per parameter {own_extra / 1e6:.0f} MB against "
              f"{extra / 1e6:.0f} MB, {own_extra / extra:.2f} x")


def overhead(name, folder):
    run = json.load(open(f"{folder}/{name}.json"))
    low, high = run["overhead_quartiles"]
    print(f"  {name:11} {run['plan']:11} {100 * run['overhead']:6.2f} % (quartiles {100 * low:.2f} to "
          f"{100 * high:.2f}), FLOPs {100 * run['overhead_flops']:.2f} %, "
          f"peak {run['peak_rss_bytes'] / 2**30:.2f} GiB, {run['tokens_per_s']:.0f} tokens/s")


def scaling(folder):
    one, two = (load(f"{folder}/scale-{n}-*.json") for n in (1, 2))
    step = median(one, "step_seconds") / median(two, "step_seconds")
    gemm = median(two, "gemm_gflops") / median(one, "gemm_gflops")
    print(f"  step {step:.3f} x, its products alone {gemm:.3f} x: {step / gemm:.3f} of their scaling")


def decode(folder):
    own, peer = load(f"{folder}/decode-sgt-*.json"), load(f"{folder}/decode-peer-*.json")
    low, high = (statistics.median(run["overhead_quartiles"][i] for run in own) for i in (0, 1))
    print(f"  sgt       {median(own, 'tokens_per_s'):7.2f} tokens/s, {100 * median(own, 'bandwidth_share'):5.1f} % of "
          f"reading memory ({median(own, 'read_gbytes_per_s'):.1f} GB/s); bf16 copies {median(own, 'bf16_gain'):.2f} x")
    print(f"            {own[0]['plan']} costs {100 * median(own, 'overhead'):.2f} % (quartiles {100 * low:.2f} to "
          f"{100 * high:.2f}; {100 * own[0]['overhead_bytes']:.2f} % of the bytes)")
    many = {n: statistics.median(run["sequences_tokens_per_s"][n] for run in own)
            for n in own[0]["sequences_tokens_per_s"]}
    print("            sequences side by side: " + ", ".join(f"{n}: {rate:.1f} tokens/s" for n, rate in many.items()))
    print(f"            prefill {median(own, 'prefill_tokens_per_s'):.0f} tokens/s, "
          f"{100 * median(own, 'prefill_gemm_share'):.1f} % of the GEMM ceiling")
    if peer:
        ratios = [a["tokens_per_s"] / b["tokens_per_s"] for a, b in zip(own, peer)]
        print(f"  transformers {peer[0]['transformers']} (PyTorch {peer[0]['torch']}) "
              f"{median(peer, 'tokens_per_s'):7.2f} tokens/s: sgt is {statistics.median(ratios):.2f} x as fast "
              f"(rounds {min(ratios):.2f} to {max(ratios):.2f})")


def main():
    if sys.argv[1] == "--decode":
        decode(sys.argv[2])
    elif sys.argv[1] == "--overhead":
        overhead(sys.argv[2], sys.argv[3])
    elif sys.argv[1] == "--scaling":
        scaling(sys.argv[2])
    else:
        shape(sys.argv[1], sys.argv[2])


if __name__ == "__main__":
    main()
