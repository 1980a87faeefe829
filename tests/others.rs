//! FWC402, FWC406 and FWC407: the rules of others, as real programs make them, beside a spec. Each ruleset is loaded into a namespace, and what fwc finds
//! is a golden file; what it calls lost is lost by real packets, and what it lets through passes.

mod support;

use std::fs;
use std::path::Path;

use fwc::dump::ipset::Ipsets;
use fwc::dump::{Dump, Rule, Verdict, live, xtables};
use fwc::kernel::socket::Socket;
use fwc::net::Family;
use fwc::proof::claim::{self, Paths};
use fwc::source::Sources;
use support::cli::{Variant, iptables_load};
use support::golden::{differs, hold};
use support::{Connection, Link, Mirror, Namespace, Packet, Ran, Spec, apply, passes, tcp_connect, try_apply};

/// One entry of each kind, stateless.
const SPEC: &str = "nat_conflict: overlap
policy: {forward: drop}
services:
  web: {listen: \"203.0.113.5:80\", stateless: true}
  api: {listen: \"203.0.113.5:8443\", stateless: true}
  ssh: {listen: \"*:22\"}
clients:
  dns: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}
forward:
  back: {to: \"10.0.0.8:443\", stateless: true}
";

/// A file of iptables-save, into both kinds of iptables.
#[track_caller]
fn load(namespace: &Namespace, file: &str, variant: Variant) {
    let folder = tempfile::tempdir().expect("a directory");
    let empty = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";
    fs::copy(format!("tests/rulesets/{file}.v4"), folder.path().join("rules.v4")).expect("the rules");
    let v6 = format!("tests/rulesets/{file}.v6");
    if Path::new(&v6).exists() {
        fs::copy(v6, folder.path().join("rules.v6")).expect("the rules");
    } else {
        fs::write(folder.path().join("rules.v6"), empty).expect("the rules");
    }
    iptables_load(namespace, folder.path(), variant);
}

/// What a person is told, without the picture of the spec.
fn told(ran: &Ran) -> String {
    let document: serde_json::Value =
        serde_json::from_str(&ran.stderr).unwrap_or_else(|_| serde_json::json!({"diagnostics": []}));
    let mut text = format!("exit {}\n", ran.status);
    for found in document["diagnostics"].as_array().expect("diagnostics") {
        let field = |key: &str| found[key].as_str().expect("text").to_owned();
        text +=
            &format!("\n{} {}\n  {}\n  help: {}\n", field("code"), field("severity"), field("message"), field("help"));
    }
    text
}

fn dry_run(namespace: &Namespace, yaml: &str) -> Ran {
    try_apply(namespace, &Spec::new(yaml), &["--dry-run", "--format", "json"])
}

const PLAIN: &str = include_str!("others/plain.nft");

#[test]
fn what_real_firewalls_drop_is_named() {
    let mut differing = Vec::new();
    for file in ["docker", "ufw", "classic"] {
        for (variant, name) in [(Variant::Nft, "nft"), (Variant::Legacy, "legacy")] {
            let namespace = Namespace::new("real");
            load(&namespace, file, variant);
            let golden = format!("tests/others/{file}-{name}.txt");
            differing.push(differs(Path::new(&golden), Some(&told(&dry_run(&namespace, SPEC)))));
        }
    }
    let namespace = Namespace::new("firewalld");
    namespace.ok(["nft", "-j", "-f", "tests/rulesets/firewalld.json"]);
    let firewalld = told(&dry_run(&namespace, SPEC));
    differing.push(differs(Path::new("tests/others/firewalld.txt"), Some(&firewalld)));
    let namespace = Namespace::new("plain");
    namespace.write_nft(PLAIN);
    differing.push(differs(Path::new("tests/others/plain.txt"), Some(&told(&dry_run(&namespace, SPEC)))));
    hold(differing);
}

/// What the help says to type, run as it stands until nothing is lost any more: a finding names one entry and one leg at a time.
#[test]
fn the_help_is_a_cure() {
    for (file, variant) in
        [("docker", Variant::Nft), ("ufw", Variant::Legacy), ("ufw", Variant::Nft), ("classic", Variant::Legacy)]
    {
        let namespace = Namespace::new("cure");
        load(&namespace, file, variant);
        let mut rounds = 0;
        loop {
            let text = told(&dry_run(&namespace, SPEC));
            let help = text.lines().filter_map(|line| line.strip_prefix("  help: let them pass there (`"));
            let cures: Vec<&str> = help.filter_map(|line| line.split('`').next()).collect();
            if cures.is_empty() {
                assert!(!text.contains("FWC402"), "{text}");
                break;
            }
            rounds += 1;
            assert!(rounds < 6, "{file} {variant:?}: {text}");
            for cure in cures {
                namespace.ok(cure.replacen(" -I ", " -w 60 -I ", 1).split_whitespace());
            }
        }
        assert!(rounds >= 2, "{file}: {rounds} rounds");
    }
}

#[test]
fn rules_that_need_tracking_are_named() {
    let namespace = Namespace::new("needs");
    namespace.write_nft(include_str!("others/needs.nft"));
    for rule in [
        "iptables-legacy -w 60 -t raw -A PREROUTING -p tcp --dport 8443 -j CT --helper ftp",
        "iptables-legacy -w 60 -t mangle -A PREROUTING -p tcp --dport 8443 -m connmark --mark 7 -j CONNMARK --restore-mark",
        "iptables-legacy -w 60 -A INPUT -p tcp --syn --dport 80 -m connlimit --connlimit-above 20 -j REJECT",
        "iptables-nft -w 60 -t raw -A PREROUTING -p tcp --dport 8443 -j CT --helper ftp",
        "iptables-nft -w 60 -A INPUT -p tcp --syn --dport 80 -m connlimit --connlimit-above 20 -j REJECT",
    ] {
        namespace.ok(rule.split_whitespace());
    }
    let ran = dry_run(&namespace, SPEC);
    hold([differs(Path::new("tests/others/needs.txt"), Some(&told(&ran)))]);
    // They are about these entries: to others they are nothing.
    let other = "services: {web: {listen: \"203.0.113.5:25\", stateless: true}}\n";
    let ran = dry_run(&namespace, other);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
}

/// What a stateful rule set does to untracked packets, seen with real ones.
#[test]
fn what_is_called_lost_is_lost() {
    let link = Link::new("lost");
    let (server, client) = (&link.server, &link.client);
    let _web = Mirror::tcp(server, "203.0.113.5:80");
    let stateful = |port: &str| {
        format!(
            "table inet filter {{ chain input {{ type filter hook input priority 5; policy drop; iif lo accept;\n\
             ct state established,related accept; ct state invalid drop; {port}; meta l4proto {{ icmp, icmpv6 }} accept; }}; }}"
        )
    };
    let web = "services:\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\n";
    server.write_nft(&stateful("tcp dport { 22, 80 } ct state new accept"));
    assert_eq!(tcp_connect(client, "203.0.113.5:80"), Connection::Connected);
    let ran = try_apply(server, &Spec::new(web), &["--format", "json"]);
    assert_eq!(ran.status, 1, "{ran}");
    assert!(told(&ran).contains("drops packets of `services.web` because they are not tracked"), "{ran}");
    assert_ne!(server.run(["nft", "list", "table", "inet", "fwc"]).status, 0);

    // It is overruled, and the service is gone.
    let ran = try_apply(server, &Spec::new(web), &["--force", "FWC402", "--format", "json"]);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(told(&ran).contains("FWC402 error"), "{ran}");
    assert!(!passes(&Packet::tcp("203.0.113.7:40000", "203.0.113.5:80", "syn"), client, server));

    // What the help says to type cures it.
    let told = told(&ran);
    let cure = told.split('`').find(|part| part.starts_with("nft insert rule ")).expect("a cure");
    server.ok(cure.split_whitespace());
    assert_eq!(tcp_connect(client, "203.0.113.5:80"), Connection::Connected);
    let ran = try_apply(server, &Spec::new(web), &["--format", "json"]);
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");

    // A rule set that asks for the port alone is no obstacle, and does not become one.
    server.ok(["nft", "flush", "ruleset"]);
    server.write_nft(&stateful("tcp dport { 22, 80 } accept"));
    apply(server, web);
    assert_eq!(tcp_connect(client, "203.0.113.5:80"), Connection::Connected);
}

/// The replies count as well: a stateful output, or a client behind a stateful input.
#[test]
fn both_legs_are_looked_at() {
    let namespace = Namespace::new("legs");
    namespace.write_nft(
        "table ip out { chain o { type filter hook output priority 0; policy drop; ct state established accept; udp dport 53 accept; }; }
         table ip in { chain i { type filter hook input priority 0; policy drop; ct state established accept; tcp dport 80 accept; }; }
         table ip raw { chain p { type filter hook prerouting priority -300; tcp dport 8443 drop; }; }",
    );
    let text = told(&dry_run(&namespace, SPEC));
    for says in [
        "the chain `o` of table `ip out` drops packets of `services.web` and `services.api` because they are not tracked",
        "the chain `i` of table `ip in` drops packets of `clients.dns` because they are not tracked",
        "the chain `p` of table `ip raw` drops every packet of `services.api`",
    ] {
        assert!(text.contains(says), "{text}");
    }
    assert!(!text.contains("forward.back") && !text.contains("services.ssh"), "{text}");
}

/// The addresses on which examples like to begin and to end are the spec's own here.
#[test]
fn an_example_does_not_go_from_a_host_to_itself() {
    let namespace = Namespace::new("apart");
    namespace.write_nft(
        "table inet shut {
           chain i { type filter hook input priority 0; policy drop; ct state established,related accept; }
           chain o { type filter hook output priority 0; policy drop; ct state established,related accept; }
           chain f { type filter hook forward priority 0; policy drop; ct state established,related accept; }
         }",
    );
    let all =
        ["198.51.100.7", "203.0.113.5", "192.0.2.80", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::7", "$both"];
    let mut seen = 0;
    for address in all {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let spec = format!(
            "nat_conflict: overlap
policy: {{forward: drop}}
sets: {{both: [198.51.100.7, 203.0.113.5]}}
services: {{web: {{listen: \"{host}:80\", stateless: true}}}}
clients: {{dns: {{to: \"{host}:53\", protocol: udp, stateless: true}}}}
forward: {{back: {{to: \"{host}:443\", stateless: true}}}}
"
        );
        let text = told(&dry_run(&namespace, &spec));
        for example in text.split("; `").skip(1).filter_map(|rest| rest.split_once("` is lost")).map(|found| found.0) {
            let words: Vec<&str> = example.split_whitespace().collect();
            let address = |end: &str| end.rsplit_once(':').expect("a port").0.to_owned();
            assert_ne!(address(words[1]), address(words[3]), "{example}\n{text}");
            seen += 1;
        }
    }
    assert_eq!(seen, 5 * all.len(), "what each chain drops, for each address");
}

#[test]
fn what_others_ban_is_a_warning() {
    let namespace = Namespace::new("bans");
    namespace.write_nft(
        "table inet f2b { set bad { type ipv4_addr; elements = { 198.51.100.66 }; }
           chain input { type filter hook input priority -1; tcp dport { 22, 80 } ip saddr @bad reject; }; }
         table inet flood { chain input { type filter hook input priority 1; tcp dport 80 limit rate over 500/second drop; }; }",
    );
    let ran = dry_run(&namespace, SPEC);
    assert_eq!(ran.status, 0, "{ran}");
    let text = told(&ran);
    assert!(
        text.contains("FWC406 warning\n  the chain `input` of table `inet f2b` drops some packets of `services.web`"),
        "{text}"
    );
    assert!(text.contains("198.51.100.66"), "{text}");
    // A limit would drop as much without fwc.
    assert_eq!(text.matches("\nFWC").count(), 1, "{text}");
}

#[test]
fn a_tracked_entry_only_warns_and_a_tracked_spec_has_nothing_to_be_told() {
    let namespace = Namespace::new("tracked");
    let shut = "table inet shut { chain input { type filter hook input priority 0; tcp dport 22 drop; }; }";
    namespace.write_nft(shut);
    let ran = dry_run(&namespace, SPEC);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(
        told(&ran)
            .contains("FWC406 warning\n  the chain `input` of table `inet shut` drops every packet of `services.ssh`")
    );
    let ran = dry_run(&namespace, &SPEC.replace(", stateless: true", ""));
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
}

#[test]
fn what_cannot_be_read_is_told() {
    let namespace = Namespace::new("unread");
    namespace.write_nft(
        "table netdev early { chain in { type filter hook ingress device lo priority 0; tcp dport 80 drop; }; }
         table arp a { chain in { type filter hook input priority 0; }; }",
    );
    let ran = dry_run(&namespace, SPEC);
    assert_eq!(ran.status, 0, "{ran}");
    let text = told(&ran);
    assert!(text.contains("FWC404 warning\n  table netdev early could not be read"), "{text}");
    assert_eq!(text.matches("\nFWC").count(), 1, "{text}");
}

/// What stands in none of the files.
const MORE: &str = "-A FORWARD -m iprange --src-range 192.0.2.5-192.0.2.9 ! --dst-range 192.0.2.1-192.0.2.3 -j DROP
-A FORWARD -p tcp -m conntrack --ctorigdst 192.0.2.0/24 ! --ctorigdstport 80:89 -j DROP
-A FORWARD -m conntrack --ctstate NEW,SNAT -g DOCKER-USER
-A FORWARD -j DOCKER-USER";

/// Rules of both kinds of iptables lie in the kernel as expressions, matches and targets of x_tables: they mean what the program that loaded them reads
/// in its file.
#[test]
fn both_readers_of_iptables_say_the_same() {
    for file in ["classic", "docker", "kube-proxy", "notrack-right", "notrack-half", "ufw"] {
        for restore in ["iptables-nft-restore", "iptables-legacy-restore"] {
            let namespace = Namespace::new("readers");
            let path = format!("tests/rulesets/{file}.v4");
            let text = fs::read_to_string(&path).expect("the rules").replacen("-A FORWARD -j DOCKER-USER", MORE, 1);
            namespace.run_with([restore], &text).expect_success(restore);
            let live = namespace.enter(|| live::read(&mut Socket::open().expect("a socket")));
            assert_eq!(live.unseen, []);
            let mut read = live.rulesets.into_iter().map(|ruleset| ruleset.dump).filter(|dump| !dump.chains.is_empty());
            let (Some(kernel), None) = (read.next(), read.next()) else { panic!("one ruleset: {file}") };
            let id = Sources::default().add(path.as_str(), text.as_str());
            let written = xtables::read(id, &text, Family::V4, &Ipsets::read(""));
            same_rules(&kernel, &written, &format!("{restore} of {file}"));
        }
    }
}

fn same_rules(kernel: &Dump, written: &Dump, what: &str) {
    let count = |dump: &Dump, asks: fn(&Rule) -> bool| dump.rules().filter(|(_, rule)| asks(rule)).count();
    let states =
        |rule: &Rule| rule.conditions.iter().any(|one| one.test.looks_at_conntrack() && one.test.is_understood());
    let translates = |rule: &Rule| matches!(rule.verdict, Verdict::Translate(_));
    assert_eq!(count(kernel, states), count(written, states), "{what}");
    assert_eq!(count(kernel, translates), count(written, translates), "{what}");
    if what.ends_with("ufw") || what.ends_with("kube-proxy") {
        // Rate limits, marks and chance are asked in other words by each reader.
        return;
    }
    let space = claim::space(None, [kernel, written]).expect("a space");
    let (one, other) = (Paths::of(&space, kernel).expect("paths"), Paths::of(&space, written).expect("paths"));
    let failures = claim::same(&space, &one, &other, &[Family::V4]).expect("a proof");
    assert!(failures.is_empty(), "{what}: {failures:?}");
}
