#!/usr/bin/env bash
# Runs each fuzz target on its seeds and on what earlier runs found. Ends with the first that breaks.
# usage: [FUZZ_SANITIZER=address] scripts/fuzz.sh SECONDS [TARGET...]
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:?seconds for each target}
shift
scripts/setup.sh fuzz

# cargo-fuzz asks for flags of the nightly compiler, which the stable one takes too when it is told so.
export RUSTC_BOOTSTRAP=1
if [ $# -eq 0 ]; then
    for file in fuzz/targets/*.rs; do
        set -- "$@" "$(basename "$file" .rs)"
    done
fi
for target in "$@"; do
    echo "fuzz: $target for $seconds seconds"
    mkdir -p "fuzz/corpus/$target"
    options=(-max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1)
    if [ -e "fuzz/dictionaries/$target.dict" ]; then
        options+=(-dict="fuzz/dictionaries/$target.dict")
    fi
    # What it finds goes to the first folder. The readers have no unsafe code, and without the address sanitizer they are many times as
    # fast; it can watch libnftnl, which the target spec calls.
    cargo fuzz run --sanitizer "${FUZZ_SANITIZER:-none}" "$target" "fuzz/corpus/$target" "fuzz/seeds/$target" -- "${options[@]}"
done
