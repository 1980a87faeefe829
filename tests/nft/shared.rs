//! Large sets that the raw and the filter chain of a direction have in common.

use fwc::backend::nft::{Condition, Program};

use super::support::cli::fwc_with;
use super::support::{Link, Mirror, Namespace, Spec, fwc, try_apply, udp_seen_as};
use super::{counted, holds, load, means_the_same, program};

/// Many endpoints of both families, and beside them whatever else raw chains hold.
fn spec() -> String {
    let mut text = format!(
        "block: [192.0.2.66]\nservices:\n  echo: {{listen: \"{}:7\", protocol: udp, stateless: true}}\n  \
         any: {{listen: \"*:9000\", stateless: true}}\n  ssh: {{listen: \"*:22\"}}\n  \
         few: {{listen: \"{}:100-200\", protocol: udp, from: 198.51.100.0/24, stateless: true}}\n",
        Link::SERVER,
        Link::SERVER
    );
    for number in 0..600 {
        let (high, low) = (number / 250, number % 250 + 1);
        text += &format!(
            "  s{number}: {{listen: [\"10.9.{high}.{low}:53\", \"[2001:db8:9:{high}::{low}]:53\"], protocol: udp, stateless: true}}\n"
        );
    }
    text + "clients:\n  resolver: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}\n"
}

/// Names of the sets that rules ask for what is not in them.
fn inverted(program: &Program) -> Vec<&str> {
    let conditions = program.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.conditions);
    let name = |condition: &Condition| match condition {
        Condition::NotIn(_, set) => Some(program.sets[set.0].name.as_str()),
        _ => None,
    };
    conditions.filter_map(name).collect()
}

#[test]
fn large_sets_are_shared_and_mean_the_same() {
    let program = program(&spec());
    let shared = ["service_requests_v4", "service_requests_v6", "service_replies_v4", "service_replies_v6"];
    assert_eq!(inverted(&program), shared);
    let once: Vec<usize> = program.sets.iter().map(|set| set.elements.len()).filter(|count| *count >= 600).collect();
    assert_eq!(once.len(), shared.len(), "each family's endpoints stand there once for each direction");
    let listing = holds(&program);
    assert!(listing.contains("dport != @service_requests_v4 accept"), "{listing}");
    means_the_same(&spec(), 20_000);
}

/// Two protocols, and what fwc reads of its own large tables: netlink messages, text, what the kernel lists and what nft lists as JSON.
#[test]
fn large_sets_are_understood() {
    let spec = Spec::new(&spec().replace("53\"], protocol: udp", "53\"], protocol: [tcp, udp]"));
    fwc(&["verify", &spec.path()]).expect_success("fwc verify");
    let namespace = Namespace::new("large");
    try_apply(&namespace, &spec, &[]).expect_success("fwc apply");
    namespace.fwc(&["verify", &spec.path(), "--against", "live"]).expect_success("fwc verify --against live");
    let json = namespace.ok(["nft", "-j", "list", "ruleset"]);
    fwc_with(&["verify", &spec.path(), "--against", "-"], &json).expect_success("fwc verify --against");
    // Nothing is not understood, and nothing untracked by halves.
    let lint = fwc_with(&["lint", "-"], &json).stderr;
    assert!(!lint.contains("FWC720") && !lint.contains("FWC701"), "{lint}");
}

#[test]
fn one_large_family_leaves_the_other_alone() {
    let text = spec().replace("]:53\"]", "]:53-54\"]");
    let program = program(&text);
    assert_eq!(inverted(&program), ["service_requests_v4", "service_replies_v4"]);
    means_the_same(&text, 20_000);
}

/// The kernel counts what a lookup finds, but not where the lookup is inverted: `nft_lookup_eval`.
#[test]
fn a_shared_set_counts_each_packet_once() {
    let link = Link::new("shared");
    let (server, client) = (&link.server, &link.client);
    load(server, &program(&spec()));
    let [echo, other] = [7, 9].map(|port| format!("{}:{port}", Link::SERVER));
    let _mirrors = [Mirror::udp(server, &echo), Mirror::udp(server, &other)];
    for _ in 0..3 {
        assert!(udp_seen_as(client, &echo).is_some());
    }
    assert!(udp_seen_as(client, &other).is_none());
    let expected = [("service_replies_v4".to_string(), 3), ("service_requests_v4".to_string(), 3)];
    assert_eq!(counted(server, "echo"), expected);
    assert_eq!(server.conntrack_count(), 0, "{:?}", server.conntrack_entries(&[]));
    // What is in no set goes on to be tracked.
    assert!(udp_seen_as(server, &format!("{}:7", Link::CLIENT)).is_none());
    assert_eq!(server.conntrack_count(), 1, "{:?}", server.conntrack_entries(&[]));
}
