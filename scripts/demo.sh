#!/usr/bin/env bash
# Shows the main job in private network namespaces: a web server behind a stateful filter, then behind fwc.
# Nothing of this machine's own network is touched, and nothing stays behind. Runs as any user.
set -euo pipefail
cd "$(dirname "$0")/.."

requests=200
spec=examples/web.yaml

say() { printf '\n== %s\n' "$*"; }

# Outside: install, build, then go on in namespaces of our own.
if [ "${1:-}" != --inside ]; then
    scripts/setup.sh demo
    say "building fwc"
    cargo build --release --locked
    export FWC=${CARGO_TARGET_DIR:-target}/release/fwc
    private=(unshare --mount --net)
    if [ "$(id -u)" -ne 0 ]; then
        private+=(--user --map-root-user)
        if ! "${private[@]}" true; then
            echo "demo: this machine gives ordinary users no namespaces; run: sudo make demo" >&2
            exit 1
        fi
    fi
    exec "${private[@]}" "$0" --inside
fi

# Inside: a /run of our own holds the names of the namespaces and all files, and goes with this process.
export PATH=$PATH:/usr/sbin:/sbin
mount -t tmpfs tmpfs /run
directory=/run/demo
umask 022
mkdir /run/netns "$directory"
export FWC_STATE_DIR=$directory/state
# The demo's server is not the host that this ssh session ends at.
unset SSH_CONNECTION

on() { nsenter --net="/run/netns/$1" -- "${@:2}"; }
tracked() { on server conntrack -C; }

say "two hosts: a server (203.0.113.5, 2001:db8::5) and a client"
ip netns add server
ip netns add client
ip -n server link add eth0 type veth peer name eth0 netns client
for host in server client; do
    if [ "$host" = server ]; then end=5; else end=7; fi
    ip -n "$host" addr add "203.0.113.$end/24" dev eth0
    ip -n "$host" addr add "2001:db8::$end/64" dev eth0 nodad
    ip -n "$host" link set lo up
    ip -n "$host" link set eth0 up
done

cat >"$directory/nginx.conf" <<EOF
user root; daemon off; master_process off; pid $directory/pid;
events { worker_connections 1024; }
http { access_log off; client_body_temp_path $directory/body; proxy_temp_path $directory/proxy;
       fastcgi_temp_path $directory/fastcgi; uwsgi_temp_path $directory/uwsgi; scgi_temp_path $directory/scgi;
       server { listen 203.0.113.5:80; listen [2001:db8::5]:80; location / { return 200 "served\n"; } } }
EOF
# The server is a child of this script and dies with it, however it ends.
nsenter --net=/run/netns/server -- setpriv --pdeathsig KILL nginx -e "$directory/error.log" -p "$directory" -c "$directory/nginx.conf" &
trap 'kill $! 2>/dev/null || true' EXIT
for _ in $(seq 100); do
    if [ -e "$directory/pid" ]; then break; fi
    sleep 0.05
done
if [ ! -e "$directory/pid" ]; then
    echo "demo: nginx did not start" >&2
    exit 1
fi

# Requests, each on a connection of its own; prints how many were answered.
load() {
    on client curl --silent --output /dev/null --write-out '%{http_code}\n' --max-time 5 \
        --header 'Connection: close' "http://203.0.113.5/?[1-$requests]" | grep -c '^200$' || true
}

say "before: a stateful filter"
on server nft -f - <<'EOF'
table inet filter {
    chain input {
        type filter hook input priority filter; policy drop;
        ct state established,related accept
        iif lo accept
        meta l4proto { icmp, ipv6-icmp } accept
        tcp dport { 22, 80 } ct state new accept
    }
}
EOF
on server nft list chain inet filter input
answered_before=$(load)
entries_before=$(tracked)
echo
echo "$answered_before of $requests requests answered, $entries_before entries in the connection tracking table."
echo "Each stays two minutes after its connection has ended, and a full table drops new ones. Three of them:"
on server conntrack -L 2>/dev/null | sed -n '1,3p' | cut -c1-110
on server nft delete table inet filter

say "the same in $spec"
sed -n '/^services:/,/^$/{/./p}' "$spec"
# What root loads must be in root's hands alone, and this checkout may be somebody else's.
install -m 644 "$spec" "$directory/web.yaml"
say "fwc apply web.yaml --netns server"
"$FWC" apply "$directory/web.yaml" --netns server

say "after: fwc"
answered_after=$(load)
entries_after=$(tracked)
printf '%-34s %12s %12s\n' '' 'stateful' 'fwc'
printf '%-34s %12s %12s\n' "requests answered, of $requests" "$answered_before" "$answered_after"
printf '%-34s %12s %12s\n' 'connection tracking entries' "$entries_before" "$entries_after"

say "fwc status, on the server"
on server "$FWC" status

if [ "$answered_after" -ne "$requests" ] || [ "$entries_after" -ne 0 ]; then
    echo "demo: fwc should have answered all requests and left no entry" >&2
    exit 1
fi
