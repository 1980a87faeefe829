#!/usr/bin/env bash
# Installs the Debian packages that are missing. Does nothing when all is there.
# usage: scripts/setup.sh build|demo|test|bench|instructions|fuzz...     (default: test)
set -euo pipefail

# What a package brings, and the package. "lib:" names a pkg-config module, the rest are programs and the C library.
build=(make:make cc:gcc libc:libc6-dev ld:binutils pkg-config:pkg-config lib:libmnl:libmnl-dev lib:libnftnl:libnftnl-dev)
demo=("${build[@]}" ip:iproute2 nft:nftables nginx:nginx-light curl:curl conntrack:conntrack)
test=("${demo[@]}" iptables-nft-restore:iptables ipset:ipset wrk:wrk systemd-analyze:systemd)
# shellcheck disable=SC2034  # each list is read by its name
bench=("${test[@]}" ferm:ferm)
# shellcheck disable=SC2034
instructions=("${build[@]}" valgrind:valgrind)
# shellcheck disable=SC2034
fuzz=("${build[@]}" c++:g++)

# Debian keeps these directories from ordinary users, who can ask for a program's presence all the same.
PATH=$PATH:/usr/sbin:/sbin

there() {
    case $1 in
        # A compiler alone does not link.
        libc) [ -e "$(cc -print-file-name=crt1.o 2>/dev/null)" ] ;;
        lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

missing=()
for kind in "${@:-test}"; do
    case $kind in
        build|demo|test|bench|instructions|fuzz) declare -n needs=$kind ;;
        *) echo "setup: there is no kind \"$kind\"; take build, demo, test, bench, instructions or fuzz" >&2; exit 2 ;;
    esac
    for need in "${needs[@]}"; do
        there "${need%:*}" || missing+=("${need##*:}")
    done
done

if [ ${#missing[@]} -gt 0 ]; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    if ! command -v apt-get >/dev/null; then
        echo "setup: install what these Debian packages bring: ${missing[*]}" >&2
        exit 1
    fi
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "setup: as root, run: apt-get install ${missing[*]}" >&2
            exit 1
        fi
        as_root=(sudo)
    fi
    echo "setup: installing the missing Debian packages: ${missing[*]}"
    "${as_root[@]}" "$(dirname "$0")/install-packages.sh" "${missing[@]}"
fi

if ! command -v cargo >/dev/null; then
    echo "setup: cargo is missing; install Rust from https://rustup.rs and open a new shell" >&2
    exit 1
fi

# What cargo brings, for fuzz alone.
if [[ " $* " = *" fuzz "* ]] && ! cargo fuzz --version >/dev/null 2>&1; then
    echo "setup: installing cargo-fuzz"
    cargo install --locked cargo-fuzz
fi
