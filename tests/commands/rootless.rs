//! What needs no root, done by somebody who is not.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::support::Namespace;
use super::support::cli::as_nobody;
use super::{WEB, codes, ended, json};

#[test]
fn check_asks_the_kernel_without_root() {
    let ran = ended(as_nobody(&[], &["check", "--kernel", "-"], WEB), 0);
    assert!(ran.stderr.contains("ok (2 entries, 1 stateless); the kernel takes it"), "{ran}");
    ended(as_nobody(&[], &["check", "--kernel", "-"], "services: {web: {listen: \"*:0\"}}"), 1);
}

/// A limit on processes counts threads.
#[test]
fn where_no_thread_may_be_started_all_is_done_by_one() {
    let services: String =
        (1..3_000).map(|port| format!("  s{port}: {{listen: \"192.0.2.1:{port}\", stateless: true}}\n")).collect();
    let spec = format!("services:\n{services}");
    let ours = |within: &[&str], words: &[&str]| ended(as_nobody(within, words, &spec), 0).stdout;
    for words in [&["check", "-", "--format", "json"][..], &["compile", "-", "--target", "iptables"]] {
        let alone = ours(&["prlimit", "--nproc=1:1"], words);
        assert!(!alone.is_empty() && alone == ours(&[], words), "{words:?}");
    }
}

#[test]
fn a_sandbox_needs_no_root_and_leaves_nothing() {
    let namespace = Namespace::new("nobody");
    let ran = ended(namespace.enter(|| as_nobody(&[], &["apply", "-", "--sandbox", "--format", "json"], WEB)), 0);
    assert_eq!(json(&ran.stdout)["result"], "checked in a sandbox");
    assert_eq!(namespace.ok(["nft", "list", "ruleset"]), "");
}

#[test]
fn what_exceeds_the_socket_is_still_checked() {
    // Nobody cannot have a larger socket buffer than this, in bytes.
    let limit = 2 * fs::read_to_string("/proc/sys/net/core/wmem_max")
        .expect("a sysctl")
        .trim()
        .parse::<usize>()
        .expect("a number");
    // One element a port, a protocol and a list of keys, each of more than 60 bytes with its name.
    let count = (limit / (60 * 5 * 3)).clamp(1_000, 32_000);
    let ports: Vec<String> = (0..count).map(|n| (2 * n + 1).to_string()).collect();
    let name = "a-name-of-thirty-two-characters-";
    let spec = format!(
        "services: {{{name}: {{listen: \"*:{}\", protocol: [tcp, udp, sctp, dccp, udplite], stateless: true}}}}\n",
        ports.join(",")
    );
    let ran = ended(as_nobody(&[], &["apply", "-", "--sandbox", "--format", "json"], &spec), 0);
    let bytes = json(&ran.stdout)["bytes"].as_u64().expect("a number");
    assert!(bytes > limit as u64, "{bytes} bytes fit into a socket of {limit}, so nothing was tried");
}

#[test]
fn apply_needs_the_right_to_change_rules() {
    let namespace = Namespace::new("nobody");
    let ran = ended(namespace.enter(|| as_nobody(&[], &["apply", "-", "--format", "json"], WEB)), 3);
    assert_eq!(ran.stdout, "");
    assert_eq!(codes(&ran.stderr), ["FWC504"], "{ran}");
    for words in [&["status"][..], &["remove"]] {
        let ran = ended(namespace.enter(|| as_nobody(&[], words, "")), 3);
        assert!(ran.stderr.contains("FWC504") && ran.stdout.is_empty(), "{ran}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_keeps_its_file() {
    let folder = tempfile::tempdir().expect("a directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode");
    let file = folder.path().join("fwc.nft");
    fs::write(&file, "old\n").expect("the file");
    let ran = ended(as_nobody(&[], &["compile", "-", "-t", "nft", "-o", file.to_str().expect("text")], WEB), 1);
    assert!(ran.stdout.is_empty() && ran.stderr.contains("permission denied"), "{ran}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "old\n");
    assert_eq!(fs::read_dir(folder.path()).expect("the directory").count(), 1);
}
