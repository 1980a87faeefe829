//! `fwc status`: as applied or not, and what was counted.

use serde_json::Value;

use super::support::{
    Connection, Link, Mirror, Namespace, Packet, Spec, apply, tcp_connect, tcp_seen_as, try_apply, udp_seen_as,
};
use super::{WEB, ended, json};

/// The document of `fwc status`, and its exit code.
fn status(namespace: &Namespace) -> (Value, i32) {
    let ran = namespace.fwc(&["status", "--format", "json"]);
    (json(&ran.stdout), ran.status)
}

/// The state that `fwc status` finds, and its exit code.
fn state(namespace: &Namespace) -> (String, i32) {
    let (document, code) = status(namespace);
    assert_eq!((document["format"].as_str(), document["version"].as_u64()), (Some("fwc-status"), Some(1)));
    (document["state"].as_str().expect("a state").to_owned(), code)
}

/// Packets and bytes of an entry in a direction; none where there is no such line.
fn counted(document: &Value, name: &str, direction: &str) -> Option<(u64, u64)> {
    let lines = document["counters"].as_array().expect("counters");
    let line = lines.iter().find(|line| line["name"] == name && line["direction"] == direction)?;
    Some((line["packets"].as_u64().expect("packets"), line["bytes"].as_u64().expect("bytes")))
}

#[test]
fn as_applied_ends_with_0_and_nothing_loaded_with_1() {
    let namespace = Namespace::new("state");
    assert_eq!(state(&namespace), ("not-loaded".to_owned(), 1));
    assert!(ended(namespace.fwc(&["status"]), 1).stdout.starts_with("table inet fwc: not loaded\n"));
    apply(&namespace, WEB);
    assert_eq!(state(&namespace), ("as-applied".to_owned(), 0));
    let human = ended(namespace.fwc(&["status"]), 0).stdout;
    assert!(human.starts_with("table inet fwc: loaded, as it was applied\n"), "{human}");
    // Packets change counters and entries, not the table.
    assert_eq!(tcp_connect(&namespace, "127.0.0.1:80"), Connection::Refused);
    assert_eq!(state(&namespace), ("as-applied".to_owned(), 0));
    ended(namespace.fwc(&["remove"]), 0);
    assert_eq!(state(&namespace), ("not-loaded".to_owned(), 1));
    // A table of that name which fwc did not load is no good sign.
    namespace.write_nft("table inet fwc { chain c { counter; }; }");
    assert_eq!(state(&namespace), ("drifted".to_owned(), 1));
}

#[test]
fn each_change_of_the_table_is_drift() {
    let namespace = Namespace::new("drift");
    let spec = Spec::new(&format!("block: [192.0.2.0/24, 198.51.100.7]\n{WEB}  kept: {{listen: \"*:25\"}}\n"));
    ended(try_apply(&namespace, &spec, &[]), 0);
    let listing = namespace.ok(["nft", "list", "table", "inet", "fwc"]);
    let set = |start: &str| {
        let line = listing.lines().find(|line| line.trim_start().starts_with(&format!("set {start}")));
        line.unwrap_or_else(|| panic!("no set {start} in\n{listing}"))
            .split_whitespace()
            .nth(1)
            .expect("a name")
            .to_owned()
    };
    let (tracked, blocked) = (set("tracked"), set("block"));
    let changes = [
        "add rule inet fwc input tcp dport 23 accept".to_owned(),
        "insert rule inet fwc raw_prerouting notrack".to_owned(),
        "delete rule inet fwc input handle HANDLE".to_owned(),
        "flush chain inet fwc output".to_owned(),
        format!("add element inet fwc {tracked} {{ tcp . 23 }}"),
        format!("delete element inet fwc {tracked} {{ tcp . 22 }}"),
        format!("flush set inet fwc {blocked}"),
        "add chain inet fwc input { policy accept; }".to_owned(),
        "add chain inet fwc mine { type filter hook input priority -1; }".to_owned(),
        "add set inet fwc mine { type ipv4_addr; }".to_owned(),
        // All chains asleep: the table is there and filters nothing.
        "add table inet fwc { flags dormant; }".to_owned(),
    ];
    for change in changes {
        ended(try_apply(&namespace, &spec, &[]), 0);
        assert_eq!(state(&namespace).1, 0, "before: {change}");
        // Handles are new after each load.
        let listing = namespace.ok(["nft", "-a", "list", "table", "inet", "fwc"]);
        let rule = listing.lines().find(|line| line.contains("fwc: dhcp")).expect("a rule");
        let change = change.replace("HANDLE", rule.rsplit(' ').next().expect("a handle"));
        namespace.write_nft(&change);
        assert_eq!(state(&namespace), ("drifted".to_owned(), 1), "{change}");
        let human = ended(namespace.fwc(&["status"]), 1).stdout;
        assert!(human.contains("CHANGED") && human.contains("`fwc apply`"), "{human}");
    }
    // What others have in tables of their own is theirs.
    ended(try_apply(&namespace, &spec, &[]), 0);
    namespace.write_nft("table inet other { chain c { type filter hook input priority 0; counter; }; }");
    assert_eq!(state(&namespace), ("as-applied".to_owned(), 0));
}

#[test]
fn counters_grow_with_the_traffic_of_each_entry_and_direction() {
    let link = Link::new("count");
    apply(
        &link.server,
        "policy: {input: drop, output: drop}\nservices:\n  web: {listen: [\"203.0.113.5:80,81\", \"[2001:db8::5]:80\"], stateless: true}\n  \
         dns: {listen: \"*:53\", protocol: [udp, tcp], stateless: true}\n  kept: {listen: \"*:22\"}\n",
    );
    let _mirrors = ["203.0.113.5:80", "203.0.113.5:81", "[2001:db8::5]:80", "203.0.113.5:22"]
        .map(|at| Mirror::tcp(&link.server, at));
    let _dns = Mirror::udp(&link.server, "203.0.113.5:53");
    let look = || status(&link.server).0;
    let before = look();
    for (name, direction) in
        [("web", "request"), ("web", "reply"), ("dns", "request"), ("dns", "reply"), ("kept", "request")]
    {
        assert_eq!(counted(&before, name, direction), Some((0, 0)), "{name} {direction}");
    }

    // One datagram there, one back: 28 bytes of headers, one byte of question, an address as the answer.
    let seen = udp_seen_as(&link.client, "203.0.113.5:53").expect("an answer").to_string();
    let after = look();
    assert_eq!(counted(&after, "dns", "request"), Some((1, 29)));
    assert_eq!(counted(&after, "dns", "reply"), Some((1, 28 + seen.len() as u64)));
    assert_eq!(counted(&after, "web", "request"), Some((0, 0)));

    // An entry's endpoints and families add up. nft counts the same.
    for to in ["203.0.113.5:80", "203.0.113.5:81", "[2001:db8::5]:80"] {
        tcp_seen_as(&link.client, to).expect("a connection");
    }
    tcp_seen_as(&link.client, "203.0.113.5:22").expect("a connection");
    let after = look();
    for direction in ["request", "reply"] {
        let (packets, bytes) = counted(&after, "web", direction).expect("a line");
        // A connection takes three packets at least each way, with their headers.
        assert!(packets >= 9 && bytes >= packets * 40, "{direction}: {packets} packets, {bytes} bytes");
    }
    let by_nft = |word: &str| -> u64 {
        let listing = link.server.ok(["nft", "list", "table", "inet", "fwc"]);
        let counted = listing.split("counter packets ").skip(1).filter(|rest| {
            rest.split(['\n', ',']).next().is_some_and(|line| line.contains(&format!("\"fwc: {word}\"")))
        });
        counted.map(|rest| rest.split(' ').next().expect("a figure").parse::<u64>().expect("a figure")).sum()
    };
    let by_fwc = |word: &str| -> u64 {
        let lines = after["counters"].as_array().expect("counters");
        lines.iter().filter(|line| line["name"] == word).map(|line| line["packets"].as_u64().expect("packets")).sum()
    };
    assert_eq!(by_fwc("web"), by_nft("web"));
    // Of a tracked entry, the first packet of each connection is counted.
    assert_eq!(counted(&after, "kept", "request").map(|(packets, _)| packets), Some(1));
}

#[test]
fn what_the_policy_drops_is_counted() {
    let link = Link::new("dropped");
    apply(&link.server, WEB);
    let dropped = || counted(&status(&link.server).0, "dropped by policy", "input").expect("a line").0;
    let before = dropped();
    for port in 1000..1010 {
        let packet = Packet::udp("203.0.113.7:40000", &format!("203.0.113.5:{port}"));
        assert!(!super::support::passes(&packet, &link.client, &link.server));
    }
    assert_eq!(dropped() - before, 10);
}
