#!/usr/bin/env bash
# Installs Debian packages as root, and keeps the services in them from running: nginx would take port 80 of this
# machine, and ferm would load a firewall at the next boot. The tests start what they need by themselves.
# usage: scripts/install-packages.sh PACKAGE...
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive

# Debian's own switch: while this file says 101, no package starts a service.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi

for package in "$@"; do
    if [ "$package" = ferm ]; then
        echo "ferm ferm/enable boolean false" | debconf-set-selections
    fi
done

apt=(apt-get -q -y -o DPkg::Lock::Timeout=120)
"${apt[@]}" update </dev/null
"${apt[@]}" install --no-install-recommends "$@" </dev/null

for package in "$@"; do
    case $package in
        nginx-light) update-rc.d nginx disable ;;
        ferm) update-rc.d ferm disable ;;
    esac
done
