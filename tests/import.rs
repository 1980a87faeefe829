//! `fwc import`: what fwc writes itself comes back as a spec that is proven to mean the same; of foreign rulesets, everything that a spec
//! cannot say is named.
//!
//! `FWC_BLESS=1 cargo test --test import` writes `tests/golden/import` anew; read what changed before you commit it.

#[path = "support/generate.rs"]
mod generate;
mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use fwc::backend::{Header, iptables};
use fwc::import::draft::{Imported, import};
use fwc::policy::Role;
use fwc::source::Sources;
use fwc::spec::{Fate, Tracking};
use proptest::prelude::*;
use support::golden::{differs, hold};

/// Imports the iptables files and the ipsets of a spec, as one ruleset.
fn there_and_back(path: &Path) -> (String, Imported, String) {
    let outcome = fwc::compile::check(path);
    let compiled = outcome.compiled.unwrap_or_else(|| panic!("{}: {:?}", path.display(), outcome.diagnostics));
    of_compiled(&compiled)
}

fn of_compiled(compiled: &fwc::compile::Compiled) -> (String, Imported, String) {
    let header = Header { version: "0.0.0", spec_hash: "0" };
    let files = iptables::artifacts(compiled.ruleset(), &header);
    let mut sources = Sources::default();
    let mut ids = vec![sources.add("rules.v4", files.v4.as_str()), sources.add("rules.v6", files.v6.as_str())];
    if let Some(ipset) = &files.ipset {
        ids.push(sources.add("rules.ipset", ipset.as_str()));
    }
    let dump = fwc::import::read(&ids, &mut sources).unwrap();
    let imported = import(&dump, &mut sources, "these").unwrap();
    let look = fwc::diagnostic::human::Look::plain();
    let told = fwc::diagnostic::human::render(&imported.diagnostics, &sources, look).unwrap_or_default();
    (files.v4, imported, told)
}

fn proven(what: &str, (rules, imported, told): (String, Imported, String)) {
    assert!(imported.same, "{what}\n--- imported\n{}\n--- told\n{told}\n--- of\n{rules}", imported.text);
    assert!(imported.text.starts_with("# proven: means the same as these for every packet\n"), "{}", imported.text);
    assert!(imported.diagnostics.is_empty(), "{told}");
}

fn specs(folder: &str, file: impl Fn(PathBuf) -> PathBuf) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| file(entry.unwrap().path())).collect();
    all.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    all.sort();
    assert!(all.len() > 4, "{folder}");
    all
}

#[test]
fn examples_come_back() {
    for spec in specs("examples", |path| path) {
        proven(&spec.display().to_string(), there_and_back(&spec));
    }
}

#[test]
fn golden_specs_come_back() {
    for spec in specs("tests/golden/iptables", |path| path.join("spec.yaml")) {
        proven(&spec.display().to_string(), there_and_back(&spec));
    }
}

fn compiled(text: &str) -> fwc::compile::Compiled {
    let outcome = fwc::compile::check_text("spec.yaml", text, Path::new(""));
    outcome.compiled.unwrap_or_else(|| panic!("{text}\n{:?}", outcome.diagnostics))
}

/// Whether conntrack is asked for entries that leave no rule: routed ones where forward has no policy. Of these the files say nothing, so with
/// `output: drop` an import has no reason to accept what is established.
fn tracks_without_a_trace(compiled: &fwc::compile::Compiled) -> bool {
    let policy = &compiled.policy;
    let mut tracked = policy.entries.iter().filter(|entry| entry.tracking == Tracking::Tracked).peekable();
    policy.forward.is_none()
        && policy.output == Fate::Drop
        && tracked.peek().is_some()
        && tracked.all(|entry| matches!(entry.role, Role::Forward { .. }))
}

/// A single address is untracked for packets that are routed elsewhere too, all addresses are not: the second entry says more than the first.
#[test]
fn an_entry_that_accepts_nothing_more_may_untrack_more() {
    let text = "conntrack: disabled\npolicy: {input: drop, output: drop, forward: drop}\nservices:\n  open0: {listen: \"*:1258-1293\", stateless: true}\n  \
                open1: {listen: [\"203.0.113.5:1258\", \"[2001:db8::5]:1258\"], stateless: true}\n";
    proven(text, of_compiled(&compiled(text)));
}

/// Trees of chains tell the ports of one entry apart, on the way of its requests only.
#[test]
fn replies_of_an_entry_whose_ports_are_told_apart() {
    let text = "conntrack: disabled
policy: {input: drop, output: drop, forward: drop}
sets:
  peers: [192.0.2.9, 192.0.2.32/28, \"2001:db8:9::/64\"]
  everyone-else: [192.0.2.200-192.0.2.203, \"2001:db8:3::1\"]
services:
  open0: {listen: [\"203.0.113.5:1000\", \"[2001:db8::5]:1000\"], protocol: [dccp, udplite], stateless: true}
  open1: {listen: [\"203.0.113.5:1000,1002\", \"[2001:db8::5]:1000,1002\"], interface: eth0, stateless: true}
  open2:
    listen: [\"203.0.113.5:1000\", \"[2001:db8::5]:1000\"]
    protocol: [tcp, dccp, udplite]
    from: [$peers, \"2001:db8:1::/48\", $everyone-else]
    stateless: true
clients:
  clients0: {to: \"[2001:db8:1::9]:3000\", local_ports: 40000-50000, stateless: true}
";
    proven(text, of_compiled(&compiled(text)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn generated_specs_come_back(text in generate::spec()) {
        let compiled = compiled(&text);
        prop_assume!(!tracks_without_a_trace(&compiled));
        proven(&text, of_compiled(&compiled));
    }

    #[test]
    fn generated_specs_without_tracking_come_back(text in generate::quiet_spec()) {
        proven(&text, of_compiled(&compiled(&text)));
    }

    #[test]
    fn generated_specs_with_nat_come_back(text in generate::nat_spec()) {
        proven(&text, of_compiled(&compiled(&text)));
    }
}

/// What is given together, and the name of the golden files.
const CASES: &[(&str, &[&str])] = &[
    ("classic", &["classic.v4"]),
    ("docker", &["docker.v4"]),
    ("firewalld", &["firewalld.json"]),
    ("kube-proxy", &["kube-proxy.v4"]),
    ("notrack-client", &["notrack-client.v4"]),
    ("notrack-half", &["notrack-half.v4"]),
    ("notrack-right", &["notrack-right.v4"]),
    ("notrack-trap", &["notrack-trap.v6"]),
    ("server", &["server.json"]),
    ("traps", &["traps.json"]),
    ("ufw", &["ufw.v4", "ufw.v6"]),
];

/// The exit code, the spec and what is said about it.
fn run(files: &[PathBuf]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fwc")).arg("import").args(files).output().unwrap();
    let text = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).unwrap();
        text.lines().map(|line| line.trim_end().to_string() + "\n").collect::<String>()
    };
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn foreign_rulesets_are_as_expected() {
    hold(CASES.iter().flat_map(|(name, files)| {
        let files: Vec<PathBuf> = files.iter().map(|file| Path::new("tests/rulesets").join(file)).collect();
        let (code, spec, told) = run(&files);
        assert_eq!(code, i32::from(!spec.starts_with("# proven: ")), "{name}: {spec}{told}");
        let golden = |extension: &str| Path::new("tests/golden/import").join(format!("{name}.{extension}"));
        [differs(&golden("yaml"), Some(&spec)), differs(&golden("txt"), Some(&told))]
    }));
}

/// Every code of imports occurs: FWC751 and FWC752 in the golden files, FWC753 where nothing is a ruleset.
#[test]
fn every_code_is_shown() {
    let golden = |name: &str| std::fs::read_to_string(format!("tests/golden/import/{name}.txt")).unwrap();
    let all: String = CASES.iter().map(|(name, _)| golden(name)).collect();
    for code in ["FWC751", "FWC752"] {
        assert!(all.lines().any(|line| line == code), "{code}");
    }
    let (code, spec, told) = run(&[PathBuf::from("examples/web.yaml")]);
    assert_eq!((code, spec.as_str()), (1, ""));
    assert!(told.starts_with("FWC753") && told.contains("is none of"), "{told}");
}

/// One rule of a proven file that no spec has words for: the spec is no longer proven, and the rule is named.
#[test]
fn a_rule_that_no_spec_can_say_is_named() {
    let whole = std::fs::read_to_string("tests/rulesets/classic.v4").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let first = "-A INPUT -i lo -j ACCEPT\n";
    let last = "-A INPUT -m limit --limit 5/min -j LOG";
    let cases = [
        ("-A INPUT -s 192.0.2.3/32 -p tcp -m tcp --dport 22 -j DROP\n", first),
        ("-A INPUT -p tcp -m tcp --dport 9000 -m limit --limit 3/sec -j ACCEPT\n", last),
        ("-A INPUT -p tcp -m mark --mark 0x1 -j ACCEPT\n", last),
        ("-A INPUT -s 10.0.0.0/8 -j ACCEPT\n", last),
        ("-A INPUT -p tcp -m tcp --sport 53 -j ACCEPT\n", last),
        (
            "-A FORWARD -i eth1 -o eth0 -p tcp -m tcp --dport 443 -j ACCEPT\n",
            "-A FORWARD -p icmp -m icmp --icmp-type 3",
        ),
    ];
    for (rule, before) in cases {
        let file = folder.path().join("rules");
        let at = whole.find(before).unwrap();
        std::fs::write(&file, format!("{}{rule}{}", &whole[..at], &whole[at..])).unwrap();
        let (code, spec, told) = run(std::slice::from_ref(&file));
        assert_eq!(code, 1, "{rule}{spec}{told}");
        assert!(spec.starts_with("# not the same as rules: "), "{spec}");
        let line = whole[..at].lines().count() + 1;
        let named = told.split("\nFWC").any(|one| one.contains("751") && one.contains(&format!("rules:{line}:1]")));
        assert!(named, "{rule}{spec}{told}");
    }
}

/// Before conntrack nothing is known of a packet, neither that it is never followed, unless a rule has marked it: so the rule that drops neighbour
/// discovery here is the one of the filter table.
#[test]
fn the_rule_that_drops_is_told_and_no_other() {
    let invalid = "-A PREROUTING -m conntrack --ctstate INVALID -j ACCEPT\n";
    let untracked =
        "-A PREROUTING -p ipv6-icmp -j CT --notrack\n-A PREROUTING -m conntrack --ctstate UNTRACKED -j ACCEPT\n";
    let folder = tempfile::tempdir().unwrap();
    for (first, line) in [(invalid, 11), (untracked, 12)] {
        let text = format!(
            "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n{first}-A PREROUTING -p ipv6-icmp -j DROP\nCOMMIT\n\
             *filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A INPUT -p ipv6-icmp -m icmp6 --icmpv6-type 135 -j DROP\nCOMMIT\n"
        );
        let file = folder.path().join("rules.v6");
        std::fs::write(&file, text).unwrap();
        let (_, spec, told) = run(&[file]);
        let discovery = told.split("\nFWC").find(|one| one.contains("! neighbour discovery: "));
        let place = format!("rules.v6:{line}:1]");
        assert!(discovery.is_some_and(|one| one.contains(&place)), "{first}{spec}{told}");
    }
}

/// Whatever of a file is overlooked, its import is not proven.
#[test]
fn what_is_easily_overlooked_is_not_proven() {
    let whole = std::fs::read_to_string("tests/rulesets/classic.v4").unwrap();
    let (input, output) = ("-A INPUT -i lo -j ACCEPT\n", ":OUTPUT");
    let raw = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n";
    let cases = [
        (input, ":CHK - [0:0]\n-A OUTPUT -j CHK\n-A CHK ! -i lo -p tcp -m tcp --dport 25 -j DROP\n".to_string(), ""),
        (output, String::new(), "-A OUTPUT -p tcp -m tcp --dport 443 -j CT --zone 5\n"),
        (output, String::new(), "-A PREROUTING -p udp -m udp --dport 53 -j CT --notrack --zone 5\n"),
        (input, "-A INPUT -p tcp -m tcp --dport 25 --jump=ACCEPT\n".to_string(), ""),
        (input, "-A INPUT -p tcp -m tcp --dport 25 -jACCEPT\n".to_string(), ""),
        (
            input,
            "-A INPUT -p tcp -m tcp --dport 25 -m set --match-set n src -m state --state NEW -j ACCEPT\n".to_string(),
            "",
        ),
    ];
    let folder = tempfile::tempdir().unwrap();
    let sets = folder.path().join("sets.ipset");
    std::fs::write(&sets, "create n hash:ip family inet hashsize 1024 maxelem 65536 netmask 24\nadd n 10.1.2.0\n")
        .unwrap();
    for (before, lines, in_raw) in cases {
        let file = folder.path().join("rules.v4");
        let at = whole.find(before).unwrap();
        let raw = if in_raw.is_empty() { String::new() } else { format!("{raw}{in_raw}COMMIT\n") };
        std::fs::write(&file, format!("{raw}{}{lines}{}", &whole[..at], &whole[at..])).unwrap();
        let (code, spec, told) = run(&[file, sets.clone()]);
        assert_eq!(code, 1, "{lines}{in_raw}{spec}{told}");
        assert!(!spec.contains("proven: means"), "{spec}");
        assert!(told.contains("FWC751"), "{lines}{in_raw}{told}");
    }
}

/// The family of a file is what its header says, or its ending, or its rules; no digit of its name decides.
#[test]
fn the_family_is_not_guessed_from_digits() {
    let text = "*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n";
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("user6");
    std::fs::create_dir(&place).unwrap();
    let header = |tool: &str| format!("# Generated by {tool} v1.8.9 (nf_tables) on Mon Sep 16 10:00:00 2026\n{text}");
    let cases = [
        ("fw-2026-09-16", text.to_string(), "IPv4"),
        ("rules.v4", text.to_string(), "IPv4"),
        ("rules.v6", text.to_string(), "IPv6"),
        ("ip6tables.save", text.to_string(), "IPv6"),
        ("one.v4", header("ip6tables-save"), "IPv6"),
        ("two.v6", header("iptables-save"), "IPv4"),
    ];
    for (name, text, family) in cases {
        let file = place.join(name);
        std::fs::write(&file, text).unwrap();
        let (_, spec, told) = run(&[file]);
        assert!(spec.contains(&format!("# that is about {family}; ")), "{name}: {spec}{told}");
    }
}
