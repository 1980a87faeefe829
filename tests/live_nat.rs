//! FWC302: NAT rules of others on the host, and a spec with stateless entries.

mod support;

use serde_json::Value;
use support::cli::{Variant, iptables_load};
use support::{Namespace, Ran, Spec, apply, try_apply};

/// Stateless on one address of each family.
const WEB: &str = "services:\n  web: {listen: [\"203.0.113.5:80,443\", \"[2001:db8::5]:80,443\"], stateless: true}\n  \
                   ssh: {listen: \"*:22\"}\n";
/// Nothing stateless.
const TRACKED: &str = "services:\n  web: {listen: [\"203.0.113.5:80\", \"[2001:db8::5]:80\"]}\n";

/// Applies a spec to a namespace whose NAT rules others made; the diagnostics come as JSON.
fn try_web(namespace: &Namespace, yaml: &str, more: &[&str]) -> Ran {
    try_apply(namespace, &Spec::new(yaml), &[&["--format", "json"], more].concat())
}

fn is_loaded(namespace: &Namespace) -> bool {
    namespace.run(["nft", "list", "table", "inet", "fwc"]).status == 0
}

/// The findings of an apply.
fn findings(ran: &Ran) -> Vec<Value> {
    if ran.stderr.is_empty() {
        return Vec::new();
    }
    let document: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran}"));
    document["diagnostics"].as_array().expect("diagnostics").clone()
}

/// The apply is refused for each of these rules, given by a part of its text, and whether it overlaps.
#[track_caller]
fn is_refused(namespace: &Namespace, yaml: &str, rules: &[(&str, bool)]) {
    let ran = try_web(namespace, yaml, &[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
    let found = findings(&ran);
    let messages: Vec<&str> = found.iter().map(|found| found["message"].as_str().expect("a message")).collect();
    assert_eq!(messages.len(), rules.len(), "{messages:#?}");
    for (rule, overlaps) in rules {
        let message = messages.iter().find(|message| message.contains(rule));
        let message = message.unwrap_or_else(|| panic!("nothing names {rule:?}: {messages:#?}"));
        let verdict = if *overlaps { "may touch the flows of `services.web`" } else { "touches no stateless flow" };
        assert!(message.contains(verdict), "{message}");
    }
    for found in &found {
        assert_eq!((found["code"].as_str(), found["severity"].as_str()), (Some("FWC302"), Some("error")));
        // The stateless entry, in the spec.
        assert_eq!(
            found["labels"][0]["line"],
            yaml.lines().position(|line| line.contains("web:")).expect("a line") + 1
        );
        proposes_a_table(found["help"].as_str().expect("a help"));
    }
    assert!(!is_loaded(namespace));
}

/// The way out has figures: entries, buckets, connections a second, memory.
#[track_caller]
fn proposes_a_table(help: &str) {
    let (_, proposal) = help.split_once("`conntrack: {max: ").unwrap_or_else(|| panic!("no proposal: {help}"));
    let figure = |text: &str| {
        text.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().expect("a figure")
    };
    let max = figure(proposal);
    let buckets = figure(proposal.split_once("buckets: ").expect("buckets").1);
    assert!(max > u64::from(support::turn::conntrack_max()) && buckets == max, "{help}");
    assert!(help.contains("new connections a second") && help.contains(" MB when full"), "{help}");
    // What is proposed is a spec.
    let spec =
        format!("{}\n{TRACKED}", help.split('`').find(|word| word.starts_with("conntrack: {")).expect("a proposal"));
    support::cli::fwc_with(&["check", "-"], &spec).expect_success(&spec);
}

/// The apply goes through without a word.
#[track_caller]
fn is_taken(namespace: &Namespace, yaml: &str) {
    let ran = try_web(namespace, yaml, &[]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
    assert!(is_loaded(namespace));
    namespace.fwc(&["remove"]).expect_success("fwc remove");
}

#[test]
fn nf_tables_rules_of_every_family_are_named() {
    let namespace = Namespace::new("families");
    namespace.write_nft(
        "table ip a { chain post { type nat hook postrouting priority 100; oifname \"eth0\" masquerade; }; }
         table ip6 b { chain pre { type nat hook prerouting priority -100; ip6 daddr 2001:db8::5 tcp dport 8443 dnat to [2001:db8::8]:443; }; }
         table inet c { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; }; }",
    );
    is_refused(
        &namespace,
        WEB,
        &[
            ("ip a post handle 2: oifname \"eth0\" masquerade", true),
            ("ip6 b pre handle 2: daddr 2001:db8::5 meta l4proto tcp dport 8443 dnat to [2001:db8::8]:443", false),
            ("inet c pre handle 2: meta l4proto tcp dport 80 redirect to :8080", true),
        ],
    );
}

#[test]
fn chains_without_nat_rules_are_taken() {
    let namespace = Namespace::new("empty");
    namespace.write_nft(
        "table ip a { chain post { type nat hook postrouting priority 100; }; }
         table ip6 b { chain post { type nat hook postrouting priority 100; }; }
         table inet c { chain pre { type nat hook prerouting priority -100; }; chain f { type filter hook input priority 0; accept; }; }",
    );
    for tool in ["iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"] {
        // Listing it makes the table.
        namespace.ok([tool, "-t", "nat", "-L", "-n"]);
    }
    is_taken(&namespace, WEB);
}

#[test]
fn rules_of_each_iptables_program_are_named() {
    for (tool, source, named) in [
        ("iptables-nft", "10.0.0.0/8", "ip nat POSTROUTING"),
        ("ip6tables-nft", "fd00::/8", "ip6 nat POSTROUTING"),
        ("iptables-legacy", "10.0.0.0/8", "iptables-legacy nat POSTROUTING rule 1"),
        ("ip6tables-legacy", "fd00::/8", "ip6tables-legacy nat POSTROUTING rule 1"),
    ] {
        let namespace = Namespace::new("tool");
        let rule = format!("{tool} -w 60 -t nat -A POSTROUTING -s {source} -j MASQUERADE");
        namespace.ok(rule.split_whitespace());
        is_refused(&namespace, WEB, &[(named, false)]);
        namespace.ok(rule.replace("-A", "-D").split_whitespace());
        is_taken(&namespace, WEB);
    }
}

/// Loads what Docker makes of its default network and one container that publishes `port`.
fn docker(namespace: &Namespace, tool: &str, port: u16) {
    for rule in [
        "-N DOCKER".to_owned(),
        "-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER".to_owned(),
        "-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER".to_owned(),
        "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE".to_owned(),
        "-A DOCKER -i docker0 -j RETURN".to_owned(),
        format!("-A DOCKER ! -i docker0 -p tcp -m tcp --dport {port} -j DNAT --to-destination 172.17.0.2:80"),
    ] {
        namespace.ok(format!("{tool} -w 60 -t nat {rule}").split_whitespace());
    }
}

#[test]
fn docker_s_rules_are_named_with_what_they_touch() {
    for tool in ["iptables-nft", "iptables-legacy"] {
        let namespace = Namespace::new("docker");
        docker(&namespace, tool, 8080);
        is_refused(&namespace, WEB, &[("172.17.0.0/16", false), ("dport 8080 … dnat to 172.17.0.2:80", false)]);
        is_taken(&namespace, &format!("nat_conflict: overlap\n{WEB}"));

        let namespace = Namespace::new("docker80");
        docker(&namespace, tool, 80);
        is_refused(&namespace, WEB, &[("172.17.0.0/16", false), ("dport 80 … dnat to 172.17.0.2:80", true)]);
        // What touches a stateless flow is refused whatever the spec says about the others.
        let overlap = format!("nat_conflict: overlap\n{WEB}");
        is_refused(&namespace, &overlap, &[("dport 80 … dnat to 172.17.0.2:80", true)]);
    }
}

/// The verdicts of an apply with `--format json`: the rule, the entry that it touches, and why.
#[track_caller]
fn verdicts(ran: &Ran) -> Vec<(String, Option<String>, String)> {
    let report: Value = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let one =
        |one: &Value| (text(&one["rule"]).expect("a rule"), text(&one["touches"]), text(&one["why"]).expect("why"));
    report["nat_rules"].as_array().expect("verdicts").iter().map(one).collect()
}

/// dockerd's own rules, and those of a container that is published as 8080:80.
fn dockerd(namespace: &Namespace, variant: Variant) {
    let folder = tempfile::tempdir().expect("a directory");
    std::fs::copy("tests/rulesets/docker.v4", folder.path().join("rules.v4")).expect("the rules");
    std::fs::write(folder.path().join("rules.v6"), "*filter\nCOMMIT\n").expect("the rules");
    iptables_load(namespace, folder.path(), variant);
}

#[test]
fn on_a_docker_host_each_verdict_is_explained() {
    for variant in [Variant::Nft, Variant::Legacy] {
        let namespace = Namespace::new("dockerd");
        dockerd(&namespace, variant);
        let overlap = format!("nat_conflict: overlap\n{WEB}");
        let ran = try_web(&namespace, &overlap, &[]);
        assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
        let all = verdicts(&ran);
        assert_eq!(all.len(), 3, "{all:#?}");
        for (part, why) in [
            ("saddr 172.17.0.0/16", "every stateless flow differs from it in source address"),
            ("saddr 172.17.0.2 daddr 172.17.0.2", "every stateless flow differs from it in source address"),
            (
                "dport 8080",
                "every stateless flow differs from it in destination port, and it leads to no stateless server",
            ),
        ] {
            let found = all.iter().find(|(rule, ..)| rule.contains(part)).unwrap_or_else(|| panic!("{part}: {all:#?}"));
            assert_eq!((found.1.as_deref(), found.2.as_str()), (None, why), "{part}");
        }
        // A person reads the same, also from a dry run.
        let ran = try_apply(&namespace, &Spec::new(&overlap), &["--dry-run"]);
        assert!(ran.stdout.contains("  3 NAT rules touch no stateless flow:\n"), "{ran}");
        assert!(
            ran.stdout.contains("dport 8080 … dnat to 172.17.0.2:80: every stateless flow differs from it in"),
            "{ran}"
        );

        // A stateless service on the published port, one that the container's own flows could be.
        for (entry, part, why) in [
            (
                "{listen: \"203.0.113.5:8080\", stateless: true}",
                "dport 8080",
                "its requests may meet the rule in prerouting",
            ),
            (
                "{listen: \"172.17.0.2:80\", stateless: true}",
                "saddr 172.17.0.0/16",
                "its replies may meet the rule in postrouting",
            ),
            (
                "{listen: \"172.17.0.2:80\", stateless: true}",
                "dnat to 172.17.0.2:80",
                "the rule may lead flows to its server",
            ),
        ] {
            let spec = format!("{overlap}  other: {entry}\n");
            let ran = try_web(&namespace, &spec, &[]);
            assert_eq!(ran.status, 1, "{ran}");
            let found = findings(&ran);
            let found = found.iter().find(|found| found["message"].as_str().is_some_and(|text| text.contains(part)));
            let found = found.unwrap_or_else(|| panic!("{part}: {ran}"));
            assert!(
                found["message"].as_str().is_some_and(|text| text.contains("may touch the flows of `services.other`"))
            );
            let label = found["labels"][0]["text"].as_str().expect("a label");
            assert!(label.contains("`services.other` is stateless; ") && label.contains(why), "{label}");
            assert!(label.contains("a condition that fwc does not follow"), "{label}");
        }
    }
}

#[test]
fn nat_of_the_spec_is_explained_too() {
    let namespace = Namespace::new("spec");
    let spec = format!(
        "nat_conflict: overlap\n{WEB}nat:\n  - masquerade: {{out: eth0, from: 10.0.0.0/8}}\n  \
         - dnat: {{listen: \"203.0.113.5:8443\", to: \"10.0.0.8:443\"}}\n"
    );
    let ran = try_web(&namespace, &spec, &[]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
    let expected = [
        ("`nat` of the spec: masquerade out eth0", "every stateless flow differs from it in source address"),
        (
            "`nat` of the spec: dnat to 10.0.0.8:443",
            "every stateless flow differs from it in destination port, and it leads to no stateless server",
        ),
    ];
    let expected: Vec<_> = expected.map(|(rule, why)| (rule.to_owned(), None, why.to_owned())).into();
    assert_eq!(verdicts(&ran), expected);
    // Where nothing is stateless there is nothing to be said.
    let tracked = spec.replace(", stateless: true", "");
    assert_eq!(verdicts(&try_web(&namespace, &tracked, &[])), []);
}

#[test]
fn what_cannot_be_understood_overlaps() {
    let namespace = Namespace::new("odd");
    // The mark may be on any packet, and who knows what a hash makes of it.
    namespace.write_nft(
        "table ip n { chain pre { type nat hook prerouting priority -100; meta mark 7 redirect; \
           dnat to jhash ip saddr mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }; }; }",
    );
    let overlap = format!("nat_conflict: overlap\n{WEB}");
    is_refused(&namespace, &overlap, &[("handle 2:", true), ("handle 4:", true)]);
}

#[test]
fn a_rule_that_matches_nothing_touches_nothing() {
    let namespace = Namespace::new("never");
    namespace.write_nft(
        "table ip n { set none { type ipv4_addr; }; \
           chain pre { type nat hook prerouting priority -100; ip saddr @none redirect; }; }",
    );
    let ran = try_web(&namespace, &format!("nat_conflict: overlap\n{WEB}"), &[]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
    let [(rule, None, why)] = &verdicts(&ran)[..] else { panic!("{ran}") };
    assert_eq!(rule, "ip n pre handle 3: never redirect");
    assert_eq!(why, "it matches no packet as it stands, and it leads to no stateless server");
}

#[test]
fn force_loads_in_spite_of_it_and_tells_all_the_same() {
    let namespace = Namespace::new("force");
    namespace.write_nft(
        "table ip n { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; }; }",
    );
    let ran = try_web(&namespace, WEB, &["--force", "FWC401"]);
    assert_eq!(ran.status, 1, "{ran}");
    let ran = try_web(&namespace, WEB, &["--force", "fwc302"]);
    assert_eq!(ran.status, 0, "{ran}");
    assert_eq!(findings(&ran).len(), 1, "{ran}");
    assert!(is_loaded(&namespace));
    // Nothing of the others' is touched.
    assert!(namespace.ok(["nft", "list", "table", "ip", "n"]).contains("redirect to :8080"));
}

#[test]
fn a_dry_run_tells_the_same_and_loads_nothing() {
    let namespace = Namespace::new("dry");
    namespace.write_nft("table ip n { chain post { type nat hook postrouting priority 100; masquerade; }; }");
    let ran = try_web(&namespace, WEB, &["--dry-run"]);
    assert_eq!((ran.status, findings(&ran).len()), (1, 1), "{ran}");
    assert!(!is_loaded(&namespace));
}

#[test]
fn a_spec_with_nothing_stateless_lives_with_nat() {
    let namespace = Namespace::new("tracked");
    namespace.write_nft(
        "table inet n { chain pre { type nat hook prerouting priority -100; tcp dport 80 redirect to :8080; }; }",
    );
    docker(&namespace, "iptables-legacy", 80);
    is_taken(&namespace, TRACKED);
}

#[test]
fn the_table_s_own_nat_is_no_conflict_once_it_is_replaced() {
    let namespace = Namespace::new("own");
    apply(&namespace, &format!("{TRACKED}nat:\n  - masquerade: {{out: eth0}}\n"));
    assert!(namespace.ok(["nft", "list", "table", "inet", "fwc"]).contains("masquerade"));
    is_taken(&namespace, WEB);
}

#[test]
fn what_could_not_be_looked_at_is_told() {
    // The tables of the legacy programs can be read by root only, and nobody is root in a user namespace that does not map them.
    let namespace = Namespace::new("unseen");
    namespace.ok(["iptables-legacy", "-t", "nat", "-L", "-n"]);
    support::require(&["unshare"]);
    let within = ["unshare", "--user", "--net", "--keep-caps"];
    let ran =
        namespace.enter(|| support::cli::as_nobody(&within, &["apply", "-", "--dry-run", "--format", "json"], WEB));
    assert_eq!(ran.status, 0, "{ran}");
    let found = findings(&ran);
    assert!(found.iter().all(|found| found["code"] == "FWC404" && found["severity"] == "warning"), "{ran}");
    assert!(
        found.iter().any(|found| found["message"].as_str().is_some_and(|text| text.contains("iptables-legacy"))),
        "{ran}"
    );
    // Where nothing is stateless nothing had to be looked at.
    let ran =
        namespace.enter(|| support::cli::as_nobody(&within, &["apply", "-", "--dry-run", "--format", "json"], TRACKED));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
}
