//! The switch from tracked to stateless: connections go on, and exactly the entries that nobody needs any more are deleted.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;
use support::cli::as_nobody;
use support::{Link, Namespace, Nginx, Spec, TRACKING, try_apply};

const SPEC: &str = r#"
policy: {input: accept}
services:
  web: {listen: ["203.0.113.5:80", "[2001:db8::5]:80"], stateless: true}
  names: {listen: "*:53", protocol: udp, stateless: true}
clients:
  resolver: {to: "9.9.9.9:53", protocol: udp, stateless: true}
forward:
  backend: {to: "10.0.0.8:443", stateless: true}
"#;

/// Entries that the spec makes stale, and such that are much like them.
const STALE: [&str; 9] = [
    "-s 198.51.100.7 -d 203.0.113.5 -p tcp --sport 40000 --dport 80 --state ESTABLISHED",
    "-s 198.51.100.7 -d 203.0.113.5 -p tcp --sport 40001 --dport 80 --state TIME_WAIT",
    "-s 2001:db8::9 -d 2001:db8::5 -p tcp --sport 40000 --dport 80 --state SYN_SENT",
    // Seen from its answer first.
    "-s 203.0.113.5 -d 198.51.100.9 -p tcp --sport 80 --dport 40000 --state ESTABLISHED",
    "-s 198.51.100.7 -d 203.0.113.5 -p udp --sport 40000 --dport 53",
    "-s 203.0.113.5 -d 9.9.9.9 -p udp --sport 40000 --dport 53",
    "-s 10.1.0.3 -d 10.0.0.8 -p tcp --sport 40000 --dport 443 --state ESTABLISHED",
    "-s 127.0.0.1 -d 127.0.0.1 -p tcp --sport 40000 --dport 5432 --state ESTABLISHED",
    "-s 203.0.113.5 -d 203.0.113.5 -p tcp --sport 40000 --dport 81 --state ESTABLISHED",
];
const NEEDED: [&str; 9] = [
    "-s 198.51.100.7 -d 203.0.113.5 -p tcp --sport 40000 --dport 22 --state ESTABLISHED",
    "-s 198.51.100.7 -d 203.0.113.6 -p tcp --sport 40000 --dport 80 --state ESTABLISHED",
    "-s 198.51.100.7 -d 203.0.113.5 -p udp --sport 40000 --dport 80",
    "-s 198.51.100.7 -d 203.0.113.5 -p tcp --sport 80 --dport 40000 --state ESTABLISHED",
    "-s 198.51.100.7 -d 203.0.113.5 -p tcp --sport 40000 --dport 53 --state ESTABLISHED",
    // Somebody else's questions, routed through this host.
    "-s 10.1.0.3 -d 192.0.2.1 -p udp --sport 40000 --dport 53",
    "-s 203.0.113.5 -d 9.9.9.9 -p udp --sport 1024 --dport 53",
    "-s 203.0.113.5 -d 9.9.9.10 -p udp --sport 40000 --dport 53",
    "-s 10.1.0.3 -d 10.0.0.8 -p udp --sport 40000 --dport 443",
];

fn insert(namespace: &Namespace, entries: &[&str]) {
    let lines: String = entries.iter().map(|entry| format!("-A {entry} -t 600\n")).collect();
    namespace.run_with(["conntrack", "-R", "-"], &lines).expect_success("conntrack -R");
}

/// What names each entry, in its first direction.
fn flows(namespace: &Namespace) -> BTreeSet<String> {
    let words = |line: String| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let first =
            |name: &str| fields.iter().find(|field| field.starts_with(name)).map_or("", |field| field).to_owned();
        [fields[0].to_owned(), first("src="), first("dst="), first("sport="), first("dport=")].join(" ")
    };
    namespace.conntrack_entries(&[]).into_iter().map(words).collect()
}

fn applied(namespace: &Namespace, more: &[&str]) -> Value {
    let ran = try_apply(namespace, &Spec::new(SPEC), &[&["--format", "json"], more].concat());
    serde_json::from_str(&ran.expect_success("fwc apply")).expect("a document")
}

#[test]
fn exactly_the_stale_entries_go_and_are_counted() {
    let link = Link::new("switch");
    let server = &link.server;
    insert(server, &NEEDED);
    let needed = flows(server);
    assert_eq!(needed.len(), NEEDED.len());
    insert(server, &STALE);
    let all = flows(server);
    assert_eq!(all.len(), NEEDED.len() + STALE.len());

    let document = applied(server, &["--keep-conntrack"]);
    assert_eq!((&document["conntrack_kept"], &document["stale_entries_deleted"]), (&true.into(), &0.into()));
    assert_eq!(flows(server), all, "--keep-conntrack leaves all of them");

    let document = applied(server, &[]);
    assert_eq!(flows(server), needed);
    assert_eq!((&document["conntrack_kept"], &document["stale_entries_deleted"]), (&false.into(), &STALE.len().into()));
    assert_eq!(applied(server, &[])["stale_entries_deleted"], 0, "nothing is left to delete");

    insert(server, &STALE);
    let said = try_apply(server, &Spec::new(SPEC), &[]).expect_success("fwc apply");
    assert!(said.contains(&format!("  {} stale conntrack entries deleted\n", STALE.len())), "{said}");
    let said = try_apply(server, &Spec::new(SPEC), &["--keep-conntrack"]).expect_success("fwc apply");
    assert!(said.contains("stay until they time out"), "{said}");
}

/// A limit on processes counts threads, and holds for whoever may load rules without being root.
#[test]
fn where_no_thread_may_be_started_they_are_deleted_all_the_same() {
    let namespace = Namespace::new("alone");
    insert(&namespace, &NEEDED);
    let needed = flows(&namespace);
    insert(&namespace, &STALE);
    namespace.add_address("203.0.113.5/32", "lo");
    namespace.add_address("2001:db8::5/128", "lo");
    let state = tempfile::tempdir().expect("a state directory");
    std::os::unix::fs::chown(state.path(), Some(65534), Some(65534)).expect("its owner");
    let state = format!("FWC_STATE_DIR={}", state.path().display());
    let alone = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin", "prlimit", "--nproc=1:1", "env", &state];
    let ran = namespace.enter(|| as_nobody(&alone, &["apply", "-", "--format", "json"], SPEC));
    let document: Value = serde_json::from_str(&ran.expect_success("fwc apply")).expect("a document");
    assert_eq!(document["stale_entries_deleted"], STALE.len(), "{document}");
    assert_eq!(flows(&namespace), needed);
}

/// More of them than go into one message to the kernel, in two zones of one table.
#[test]
fn many_go_at_once_and_zones_are_told_apart() {
    let link = Link::new("many");
    let server = &link.server;
    let stale = |zone: &str| -> String {
        let line = |port: u16| {
            format!(
                "-A -s 198.51.100.7 -d 203.0.113.5 -p tcp --sport {port} --dport 80 --state TIME_WAIT -t 600 {zone}\n"
            )
        };
        (20_000..21_700).map(line).collect()
    };
    for zone in ["", "--zone 7"] {
        server.run_with(["conntrack", "-R", "-"], &stale(zone)).expect_success("conntrack -R");
    }
    insert(server, &NEEDED);
    assert_eq!(server.conntrack_count(), 3_400 + NEEDED.len() as u64);
    assert_eq!(applied(server, &[])["stale_entries_deleted"], 3_400);
    assert_eq!(server.conntrack_count(), NEEDED.len() as u64);
}

/// A real download, slowed down, that begins tracked and ends untracked.
#[test]
fn a_slow_download_survives_the_switch() {
    for (more, left) in [(&[][..], 0), (&["--keep-conntrack"], 1)] {
        let link = Link::new("slow");
        let nginx = Nginx::start(&link.server, &["203.0.113.5:80"]);
        let bytes = 12 << 20;
        nginx.put("large", bytes);
        link.server.write_nft(TRACKING);
        let mut download = link.client.spawn([
            "curl",
            "--silent",
            "--show-error",
            "--fail",
            "--limit-rate",
            "3M",
            "--write-out",
            "%{size_download}",
            "--output",
            "/dev/null",
            "http://203.0.113.5/large",
        ]);
        let established = ["-p", "tcp", "--dport", "80", "--state", "ESTABLISHED"];
        while link.server.conntrack_entries(&established).is_empty() {
            assert!(download.is_running(), "{}", download.wait());
            std::thread::sleep(Duration::from_millis(10));
        }
        let document = applied(&link.server, more);
        assert!(download.is_running(), "the download is over before the switch");
        assert_eq!(document["stale_entries_deleted"], 1 - left);
        let ran = download.wait();
        assert_eq!((ran.status, ran.stdout.as_str()), (0, bytes.to_string().as_str()), "{ran}");
        assert_eq!(link.server.conntrack_entries(&["-p", "tcp", "--dport", "80"]).len(), left);
    }
}
