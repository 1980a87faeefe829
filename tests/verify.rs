//! `fwc verify`: every form of every spec, and what it says about rulesets that differ.

#[path = "support/generate.rs"]
mod generate;
mod support;

use fwc::backend::{Header, iptables, nft};
use fwc::compile::Compiled;
use fwc::dump::ipset::Ipsets;
use fwc::dump::{Dump, netlink, nft_text, of_ruleset, xtables};
use fwc::net::Family;
use fwc::proof::claim::{self, Paths};
use fwc::proof::witness::witness;
use fwc::source::Sources;
use proptest::prelude::*;
use support::{Namespace, Spec, compile, fwc, try_apply};

/// Every form that fwc writes, read back from its own bytes.
fn forms(compiled: &Compiled) -> Vec<(&'static str, Dump)> {
    let mut sources = Sources::default();
    let header = Header { version: "0.0.0", spec_hash: "0" };
    let program = nft::Program::of(compiled.ruleset(), &header);
    let messages = nft::netlink::messages(&program);
    let text = program.text();
    let file = sources.add("fwc.nft", text.as_str());
    let files = iptables::artifacts(compiled.ruleset(), &header);
    let ipsets = Ipsets::read(files.ipset.as_deref().unwrap_or_default());
    let (v4, v6) = (sources.add("rules.v4", files.v4.as_str()), sources.add("rules.v6", files.v6.as_str()));
    vec![
        ("netlink", netlink::of_messages(&messages.bytes, &mut sources, "netlink").unwrap()),
        ("nft", nft_text::read(file, &text)),
        ("rules.v4", xtables::read(v4, &files.v4, Family::V4, &ipsets)),
        ("rules.v6", xtables::read(v6, &files.v6, Family::V6, &ipsets)),
    ]
}

/// What a form does otherwise than the rules, each with a packet.
fn differences(compiled: &Compiled, name: &str, form: &Dump) -> Vec<String> {
    let rules = of_ruleset(compiled.ruleset(), compiled.whole);
    let space = claim::space(None, [&rules, form]).unwrap();
    let (one, other) = (Paths::of(&space, &rules).unwrap(), Paths::of(&space, form).unwrap());
    let failures = claim::same(&space, &one, &other, &form.families).unwrap();
    let unread = form.unread.iter().map(|unread| format!("{name}: {}", unread.why));
    let opaque = form.rules().flat_map(|(_, rule)| &rule.conditions).filter(|one| !one.test.is_understood());
    let told = failures.iter().map(|failure| {
        let packet = witness(&space, &failure.packets, failure.path).unwrap().unwrap();
        format!("{name} {:?} {:?}: {packet}", failure.claim, failure.second)
    });
    told.chain(unread).chain(opaque.map(|one| format!("{name}: {one:?}"))).collect()
}

fn all_the_same(text: &str) {
    let compiled = compile(text);
    for (name, form) in forms(&compiled) {
        assert_eq!(differences(&compiled, name, &form), Vec::<String>::new(), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_form_does_what_the_rules_say(text in generate::spec()) {
        all_the_same(&text);
    }

    #[test]
    fn every_form_of_nat_does_what_the_rules_say(text in generate::nat_spec()) {
        all_the_same(&text);
    }

    #[test]
    fn every_form_beside_nat_does_what_the_rules_say(text in generate::overlap_spec()) {
        all_the_same(&text);
    }

    #[test]
    fn every_form_without_ports_does_what_the_rules_say(text in generate::plain_spec()) {
        all_the_same(&text);
    }

    #[test]
    fn every_form_without_tracking_does_what_the_rules_say(text in generate::quiet_spec()) {
        all_the_same(&text);
    }
}

const SPEC: &str = "policy: {input: drop, output: drop, forward: drop}\nicmp: {ping: true}\nblock: [192.0.2.0/24, \"2001:db8:bad::/48\"]\n\
    services:\n  web: {listen: [\"203.0.113.5:80\", \"[2001:db8::5]:80\"], stateless: true, interface: eth0}\n  any: {listen: \"*:8000-8080\", stateless: true}\n  \
    ssh: {listen: \"*:22\", from: [198.51.100.0/24, \"2001:db8:1::/48\"]}\nclients:\n  dns: {to: \"9.9.9.9:53\", protocol: [udp, tcp], stateless: true}\nforward:\n  \
    back: {to: \"10.0.0.8:443\", stateless: true}\n  kept: {to: \"10.0.0.9:443\"}\n";

/// Whatever line is taken out of a file, the proof finds it.
#[test]
fn no_line_of_the_iptables_files_is_idle() {
    let compiled = compile(SPEC);
    let files = iptables::artifacts(compiled.ruleset(), &Header { version: "0.0.0", spec_hash: "0" });
    for (text, family) in [(&files.v4, Family::V4), (&files.v6, Family::V6)] {
        let rules: Vec<usize> =
            (0..).zip(text.lines()).filter(|(_, line)| line.starts_with("-A")).map(|(at, _)| at).collect();
        assert!(rules.len() > 20);
        for rule in rules {
            let less: Vec<&str> = (0..).zip(text.lines()).filter(|(at, _)| *at != rule).map(|(_, line)| line).collect();
            let less = less.join("\n");
            let file = Sources::default().add("rules", less.as_str());
            let dump = xtables::read(file, &less, family, &Ipsets::default());
            assert_ne!(
                differences(&compiled, "rules", &dump),
                Vec::<String>::new(),
                "{}",
                text.lines().nth(rule).unwrap()
            );
        }
    }
}

#[test]
fn verify_tells_what_is_proven_and_what_a_file_does_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("web.yaml");
    std::fs::write(&spec, SPEC).unwrap();
    let (spec, out) = (spec.to_str().unwrap(), folder.path().join("out/"));
    fwc(&["compile", spec, "-o", &format!("{}/", out.display())]).expect_success("compiling");
    let rules = out.join("rules.v4");
    let against = rules.to_str().unwrap();

    let same = fwc(&["verify", spec, "--against", against]);
    assert_eq!(same.status, 0, "{same:?}");
    assert!(same.stdout.contains("proven for every packet") && same.stdout.contains("rules.v4"), "{}", same.stdout);

    let text = std::fs::read_to_string(&rules).unwrap();
    let less: Vec<&str> =
        text.lines().filter(|line| !(line.contains("-A OUTPUT") && line.contains("fwc: web"))).collect();
    assert_ne!(less.len(), text.lines().count());
    std::fs::write(&rules, less.join("\n") + "\n").unwrap();
    let other = fwc(&["verify", spec, "--against", against]);
    assert_eq!(other.status, 1, "{other:?}");
    assert!(other.stderr.contains("FWC615") && other.stderr.contains("203.0.113.5:80"), "{}", other.stderr);

    let json = fwc(&["verify", spec, "--format", "json"]);
    let told: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(told["holds"], true);
    assert_eq!(told["proven"].as_array().unwrap().len(), 4);
}

/// What is loaded is held against the spec; a rule that somebody adds is found with a packet.
#[test]
fn the_live_table_is_held_against_the_spec() {
    let server = Namespace::new("verify");
    let spec = Spec::new(SPEC);
    let verify = || fwc(&["verify", &spec.path(), "--against", "live", "--netns", server.name()]);
    let absent = verify();
    assert_eq!(absent.status, 1, "{absent}");
    assert!(absent.stderr.contains("there is no live table inet fwc"), "{absent}");

    try_apply(&server, &spec, &[]).expect_success("the apply");
    let same = verify();
    assert_eq!(same.status, 0, "{same}");
    assert!(same.stdout.contains("the live table inet fwc do exactly"), "{same}");

    server.ok(["nft", "insert", "rule", "inet", "fwc", "input", "tcp", "dport", "4444", "accept"]);
    let other = verify();
    assert_eq!(other.status, 1, "{other}");
    assert!(other.stderr.contains("FWC615") && other.stderr.contains(":4444"), "{other}");
}

/// nft's own listing of what is loaded, in JSON, means the same as the spec.
#[test]
fn what_nft_lists_is_held_against_the_spec() {
    let server = Namespace::new("verify-json");
    let spec = Spec::new(SPEC);
    try_apply(&server, &spec, &[]).expect_success("the apply");
    let listed = server.ok(["nft", "-j", "list", "ruleset"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ruleset.json");
    std::fs::write(&file, listed).unwrap();
    let same = fwc(&["verify", &spec.path(), "--against", file.to_str().unwrap()]);
    assert_eq!(same.status, 0, "{same}");
}

/// Lines that change what the files do in a way that is easily overlooked. Each is put in front of the first line that starts as said.
const TAMPERED: &[(&str, &str)] = &[
    // In a chain that OUTPUT jumps to there is no incoming interface: its name is empty, and not lo.
    ("-A OUTPUT", ":x - [0:0]\n-A OUTPUT -j x\n-A x ! -i lo -j DROP\n"),
    ("-A INPUT", ":x - [0:0]\n-A INPUT -j x\n-A x ! -o eth0 -j ACCEPT\n"),
    ("-A PREROUTING", "-A PREROUTING -p tcp -m tcp --dport 9999 -j CT --notrack --zone 5\n"),
    ("-A PREROUTING", "-A PREROUTING -p tcp -m tcp --dport 22 -j CT --zone 5\n"),
    ("-A PREROUTING", "-A PREROUTING -p tcp -m tcp --dport 22 -j CT --helper ftp\n"),
    ("-A PREROUTING", "-A PREROUTING -p tcp -m tcp --dport 22 -j TEE --gateway 192.0.2.1\n"),
    ("-A INPUT", "-A INPUT -p tcp -m tcp --dport 23 --jum ACCEPT\n"),
    ("-A INPUT", "-A INPUT -p tcp -m tcp --dport 23 -jACCEPT\n"),
    ("-A INPUT", "-A INPUT -p tcp -m tcp --dport 23 --jump=ACCEPT\n"),
    ("-A INPUT", "-A INPUT --unheard-of -j ACCEPT\n"),
    ("-A INPUT", "COMMIT\n*filter\n:INPUT DROP [0:0]\n"),
];

#[test]
fn what_is_easily_overlooked_in_a_file_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let spec = folder.path().join("web.yaml");
    std::fs::write(&spec, SPEC).unwrap();
    let spec = spec.to_str().unwrap();
    let whole = fwc(&["compile", spec, "--target", "iptables"]).expect_success("compiling");
    for (before, lines) in TAMPERED {
        let at = whole.find(before).unwrap();
        let file = folder.path().join("rules.v4");
        std::fs::write(&file, format!("{}{lines}{}", &whole[..at], &whole[at..])).unwrap();
        let ran = fwc(&["verify", spec, "--against", file.to_str().unwrap()]);
        assert_eq!(ran.status, 1, "{lines}{ran}");
        assert!(ran.stderr.contains("FWC615"), "{lines}{ran}");
    }
}

/// The same for the loaded table: rules that somebody put in beside fwc's.
#[test]
fn what_is_easily_overlooked_in_the_live_table_is_found() {
    let spec = Spec::new(SPEC);
    let rules = [
        r#"output iifname != "eth0" drop"#,
        r#"input oifname != "eth0" accept"#,
        r#"output iifname != { "eth0", "eth1" } drop"#,
        "raw_prerouting ip daddr 203.0.113.7 tcp dport 80 ip daddr set 203.0.113.5",
        "raw_prerouting ip daddr 203.0.113.5 tcp dport 80 tcp dport set 22",
        "raw_output tcp dport 443 ct zone set 5",
        "input meta l4proto { gre, esp } th dport 80 accept",
        "input th dport 80 meta l4proto icmp accept",
    ];
    let namespace = Namespace::new("verify");
    try_apply(&namespace, &spec, &[]).expect_success("loading");
    let verify = || fwc(&["verify", &spec.path(), "--against", "live", "--netns", namespace.name()]);
    assert_eq!(verify().status, 0, "{}", verify());
    for rule in rules {
        namespace.ok(["nft".to_string(), "insert".into(), "rule".into(), format!("inet fwc {rule}")]);
        let json = namespace.ok(["nft", "-j", "list", "ruleset"]);
        let file = Spec::new(&json);
        let chain = rule.split_whitespace().next().unwrap();
        for ran in [verify(), fwc(&["verify", &spec.path(), "--against", &file.path()])] {
            assert_eq!(ran.status, 1, "{rule}: {ran}");
            assert!(ran.stderr.contains("FWC615"), "{rule}: {ran}");
        }
        let handle = namespace.ok(["nft", "-a", "list", "chain", "inet", "fwc", chain]);
        let first = handle.lines().find(|line| line.contains("# handle") && !line.contains("chain ")).unwrap();
        let handle = first.rsplit(' ').next().unwrap();
        namespace.ok(["nft", "delete", "rule", "inet", "fwc", chain, "handle", handle]);
    }
    namespace.ok(["nft", "add table inet fwc { flags dormant; }"]);
    let json = Spec::new(&namespace.ok(["nft", "-j", "list", "ruleset"]));
    let ran = fwc(&["verify", &spec.path(), "--against", &json.path()]);
    assert_eq!(ran.status, 1, "{ran}");
}

#[test]
fn a_namespace_is_for_the_live_table() {
    let spec = Spec::new(SPEC);
    let ran = fwc(&["verify", &spec.path(), "--netns", "somewhere"]);
    assert_eq!(ran.status, 2, "{ran}");
}

/// Chains that jump to each other again and again would take forever.
#[test]
fn a_maze_of_chains_is_given_up() {
    let chains: Vec<usize> = (0..20).collect();
    let mut text = "*filter\n:INPUT DROP [0:0]\n".to_string();
    text += &chains.iter().map(|chain| format!(":c{chain} - [0:0]\n")).collect::<String>();
    text += ":c20 - [0:0]\n-A INPUT -j c0\n";
    for chain in chains {
        let next = chain + 1;
        text += &format!(
            "-A c{chain} -p tcp -m tcp --dport {next} -j c{next}\n-A c{chain} -j c{next}\n-A c{chain} -j c{next}\n"
        );
    }
    let file = Spec::new(&(text + "-A c20 -p tcp -m tcp --dport 22 -j ACCEPT\nCOMMIT\n"));
    let ran = fwc(&["verify", &Spec::new(SPEC).path(), "--against", &file.path()]);
    assert!(ran.status == 1 && ran.stderr.contains("FWC616"), "{ran}");
    let ran = fwc(&["lint", &file.path()]);
    assert!(ran.status == 1 && ran.stderr.contains("memory or time"), "{ran}");
}
