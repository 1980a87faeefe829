//! `fwc lint` on the rulesets of `tests/rulesets`: what is found, as a person sees it.
//!
//! `FWC_BLESS=1 cargo test --test lint` writes `tests/golden/lint` anew; read what changed before you commit it.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::golden::{differs, hold};

/// What is given together, and the name of the golden file.
const CASES: &[(&str, &[&str])] = &[
    ("classic", &["classic.v4"]),
    ("docker", &["docker.v4"]),
    ("kube-proxy", &["kube-proxy.v4"]),
    ("notrack-client", &["notrack-client.v4"]),
    ("notrack-half", &["notrack-half.v4"]),
    ("notrack-right", &["notrack-right.v4"]),
    ("notrack-trap", &["notrack-trap.v6"]),
    ("ufw", &["ufw.v4", "ufw.v6"]),
];

fn lint(files: &[PathBuf]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_fwc")).arg("lint").args(files).output().unwrap();
    assert!(output.stdout.is_empty(), "diagnostics go to standard error");
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    (output.status.code().unwrap(), lines.join("\n") + "\n")
}

#[test]
fn findings_are_as_expected() {
    hold(CASES.iter().map(|(name, files)| {
        let files: Vec<PathBuf> = files.iter().map(|file| Path::new("tests/rulesets").join(file)).collect();
        let (code, text) = lint(&files);
        assert_eq!(code, i32::from(!text.ends_with("rules: nothing found\n")), "{name}");
        differs(&Path::new("tests/golden/lint").join(format!("{name}.txt")), Some(&text))
    }));
}

/// What fwc writes itself has none of the traps.
#[test]
fn what_fwc_writes_is_clean() {
    let folder = tempfile::tempdir().unwrap();
    for example in ["web", "dns", "mixed", "nat", "router", "blocklist"] {
        let spec = format!("examples/{example}.yaml");
        let out = folder.path().join(example);
        std::fs::create_dir(&out).unwrap();
        let made = Command::new(env!("CARGO_BIN_EXE_fwc")).args(["compile", &spec, "-o"]).arg(&out).output().unwrap();
        assert!(made.status.success(), "{example}: {}", String::from_utf8_lossy(&made.stderr));
        let wanted = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_str().unwrap();
            matches!(name, "rules.v4" | "rules.v6") || name.contains("ipset")
        };
        let files: Vec<PathBuf> =
            std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).filter(wanted).collect();
        let (code, text) = lint(&files);
        assert_eq!(code, 0, "{example}: {text}");
    }
}

/// Of a matched pair, either half alone is found, and the line that is missing is named as it was written.
#[test]
fn the_missing_half_is_named() {
    let whole = std::fs::read_to_string("tests/rulesets/notrack-right.v4").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let halves: Vec<&str> = whole.lines().filter(|line| line.contains("notrack") && line.contains("tcp")).collect();
    assert_eq!(halves.len(), 2);
    for half in &halves {
        let file = folder.path().join("rules");
        std::fs::write(&file, whole.replace(&format!("{half}\n"), "")).unwrap();
        let (code, text) = lint(std::slice::from_ref(&file));
        assert_eq!(code, 1, "{text}");
        let joined = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("-p tcp -m tcp", "-p tcp");
        assert!(joined.contains("FWC701"), "{text}");
        let mut words: Vec<&str> = half.split_whitespace().collect();
        words.sort_unstable();
        let suggested = joined.split("add to ").nth(1).unwrap_or_else(|| panic!("{text}"));
        for word in words.into_iter().map(|word| word.trim_end_matches("/32")) {
            assert!(suggested.contains(word), "`{word}` of `{half}` is not in: {suggested}");
        }
    }
}

/// Every trap occurs in the golden files.
#[test]
fn every_trap_is_shown() {
    let codes = ["FWC701", "FWC702", "FWC703", "FWC704", "FWC705", "FWC706", "FWC707", "FWC708", "FWC709", "FWC720"];
    let golden = |name: &str| std::fs::read_to_string(format!("tests/golden/lint/{name}.txt")).unwrap();
    let all: String = CASES.iter().map(|(name, _)| golden(name)).collect();
    for code in codes {
        assert!(all.lines().any(|line| line == code), "{code}");
    }
}

#[test]
fn what_is_no_ruleset_is_refused() {
    let (code, text) = lint(&[PathBuf::from("examples/web.yaml")]);
    assert_eq!(code, 1);
    assert!(text.contains("examples/web.yaml is none of"), "{text}");
}

const FILTER: &str = "COMMIT\n*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p icmp -j ACCEPT\n";

/// The codes that are found in iptables rules.
fn codes(rules: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rules.v4");
    std::fs::write(&file, format!("{rules}COMMIT\n")).unwrap();
    let (_, text) = lint(&[file]);
    text.lines().filter(|line| line.starts_with("FWC7")).map(str::to_string).collect()
}

/// Untracked by source port alone, and let in because it is untracked: a packet from port 53 to port 9999 arrived.
#[test]
fn a_source_port_hole_may_take_two_steps() {
    let raw = "*raw\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n-A PREROUTING -p udp -m udp --sport 53 -j CT --notrack\n\
               -A OUTPUT -p udp -m udp --dport 53 -j CT --notrack\n-A OUTPUT -o lo -j CT --notrack\n";
    let found = codes(&format!("{raw}{FILTER}-A INPUT -m conntrack --ctstate UNTRACKED -j ACCEPT\n"));
    assert_eq!(found, ["FWC702"]);
    let found = codes(&format!(
        "{raw}{FILTER}-A INPUT -p udp -m udp --dport 32768:60999 -m conntrack --ctstate UNTRACKED -j ACCEPT\n"
    ));
    assert!(!found.contains(&"FWC702".to_string()), "{found:?}");
}

/// In a chain that OUTPUT jumps to, no packet comes in by `lo`, so this rule always matches.
#[test]
fn a_negated_interface_that_is_not_there_matches() {
    let found = codes(&format!(
        "*raw\n{FILTER}:CHK - [0:0]\n-A OUTPUT -j CHK\n-A CHK ! -i lo -p tcp -m tcp --dport 25 -j DROP\n"
    ));
    assert_eq!(found, Vec::<String>::new());
}
