//! `fwc apply` and `fwc remove`: what they change, what they leave, what they say.

use std::path::Path;

use fwc::kernel::messages::{Messages, Part, Subject};
use fwc::kernel::socket::Socket;
use fwc::kernel::transaction::Transaction;
use fwc::kernel::wire::Request;

use super::support::{Namespace, Spec, fwc, try_apply};
use super::{ODD, WEB, WRONG, codes, ended, json};

/// Somebody else's rules, one of them where fwc has its own.
const OTHERS: &str = "table inet filter { set s { type ipv4_addr; elements = { 192.0.2.1 }; }
    chain c { type filter hook input priority 10; ip saddr @s counter drop; }; }
table ip fwc { chain c { type filter hook input priority 0; counter; }; }
table inet fwc2 { chain c { counter; }; }
";

#[test]
fn apply_says_what_it_did() {
    let namespace = Namespace::new("apply");
    let said = ended(try_apply(&namespace, &Spec::new(WEB), &[]), 0);
    assert!(said.stdout.starts_with("table inet fwc: loaded\n  2 entries, 1 stateless"), "{said}");
    assert!(said.stdout.contains("input drop, output accept, forward untouched"), "{said}");
    let said = json(&ended(try_apply(&namespace, &Spec::new(WEB), &["--format", "json"]), 0).stdout);
    assert_eq!((said["format"].as_str(), said["version"].as_u64()), (Some("fwc-apply"), Some(1)));
    assert_eq!((said["result"].as_str(), said["attempts"].as_u64()), (Some("loaded"), Some(1)));
    assert_eq!((said["entries"].as_u64(), said["stateless"].as_u64()), (Some(2), Some(1)));
    assert_eq!(said["spec_sha256"].as_str().map(str::len), Some(64));
    for figure in ["chains", "rules", "sets", "elements", "bytes"] {
        assert!(said[figure].as_u64().is_some_and(|figure| figure > 0), "{figure}: {said}");
    }
    assert!(said["kernel_memory"]["bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{said}");
    let listed = namespace.ruleset();
    assert_eq!(listed.lines().filter(|line| line.starts_with("table")).collect::<Vec<_>>(), ["table inet fwc {"]);
}

/// Whoever deletes a table waits until the kernel has given it free, so none is deleted where there is none.
#[test]
fn what_is_not_there_is_not_deleted() {
    let namespace = Namespace::new("bare");
    let bytes = || {
        let said = json(&ended(try_apply(&namespace, &Spec::new(WEB), &["--format", "json"]), 0).stdout);
        assert_eq!(said["update"], false, "{said}");
        said["bytes"].as_u64().expect("bytes")
    };
    let bare = bytes();
    namespace.write_nft("add table inet other; add chain inet fwc input_of_mine");
    // A table is added, so that it is there, and deleted: 20 bytes of headers each, its name, and the flags of the one that is added.
    assert_eq!(bytes(), bare + 2 * (20 + 8) + 8);
    namespace.write_nft("delete table inet fwc");
    assert_eq!(bytes(), bare);
}

/// The texts are written before the host has been looked at.
#[test]
fn what_a_refused_apply_wrote_ahead_is_taken_away() {
    let namespace = Namespace::new("refused");
    let texts = || {
        let directory = Path::new(namespace.state_dir()).join("netns").join(namespace.name());
        let files = std::fs::read_dir(directory).expect("a state directory").flatten();
        files.filter(|file| file.file_name().to_string_lossy().starts_with("spec-")).count()
    };
    ended(try_apply(&namespace, &Spec::new(WEB), &[]), 0);
    assert_eq!(texts(), 1);
    namespace.write_nft("table ip nat { chain c { type nat hook postrouting priority 100; masquerade; }; }");
    let ran = ended(try_apply(&namespace, &Spec::new(ODD), &[]), 1);
    assert!(ran.stderr.contains("FWC302"), "{ran}");
    assert_eq!(texts(), 1);
}

#[test]
fn the_time_to_confirm_is_typed_in_any_unit() {
    let namespace = Namespace::new("time");
    let spec = Spec::new(WEB);
    for (time, seconds) in [("90", 90), ("90s", 90), ("1m30s", 90), ("2h", 7200)] {
        let ran = ended(try_apply(&namespace, &spec, &["--format", "json", "--confirm-within", time]), 0);
        assert_eq!(json(&ran.stdout)["confirm"]["within"], seconds, "{time}");
        let words = ["rollback", "--netns", namespace.name()];
        namespace.fwc(&words).expect_success("rollback");
    }
    for time in ["30s1m", "1m30", "soon", "1.5h"] {
        let ran = ended(try_apply(&namespace, &spec, &["--confirm-within", time]), 2);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("1m30s"), "{ran}");
    }
    assert_eq!(namespace.ruleset(), "");
    let help = fwc(&["apply", "--help"]).expect_success("the help");
    assert!(help.contains("a bare number is seconds"), "{help}");
}

#[test]
fn a_wrong_spec_loads_nothing_and_an_odd_one_loads() {
    let namespace = Namespace::new("wrong");
    let ran = ended(try_apply(&namespace, &Spec::new(WRONG), &["--format", "json"]), 1);
    assert_eq!(ran.stdout, "");
    assert_eq!(codes(&ran.stderr), ["FWC103", "FWC114", "FWC112"]);
    assert_eq!(namespace.ruleset(), "");
    let ran = ended(try_apply(&namespace, &Spec::new(ODD), &[]), 0);
    assert!(ran.stderr.contains("FWC209"), "{ran}");
    assert!(namespace.ruleset().contains("table inet fwc"));
}

#[test]
fn a_dry_run_changes_nothing() {
    let namespace = Namespace::new("dry");
    namespace.write_nft(OTHERS);
    let web = Spec::new(WEB);
    // Before there is a table, and with another one in its place.
    for loaded in [false, true] {
        if loaded {
            ended(try_apply(&namespace, &Spec::new(ODD), &[]), 0);
        }
        let before = namespace.ruleset();
        assert_eq!(before.contains("table inet fwc {"), loaded);
        let ran = ended(try_apply(&namespace, &web, &["--dry-run"]), 0);
        assert!(ran.stdout.starts_with("table inet fwc: would load"), "{ran}");
        assert_eq!(namespace.ruleset(), before);
        let said = json(&ended(try_apply(&namespace, &web, &["--dry-run", "--format", "json"]), 0).stdout);
        assert_eq!(said["result"], "would load");
        assert_eq!(namespace.ruleset(), before);
    }
}

/// Does `work` while `table inet fwc` belongs to a socket: the kernel lets nobody else touch it until the socket is closed.
fn while_owned(namespace: &Namespace, work: impl FnOnce() + Send) {
    const CREATE: u16 = 0x400 | 1;
    const NFT_MSG_NEWTABLE: u16 = 0xa00;
    const NFT_TABLE_F_OWNER: u32 = 2;
    // The family (inet), the version, the resource id.
    let request = Request::with_header(NFT_MSG_NEWTABLE, CREATE, &[1, 0, 0, 0]);
    let request = request.with_text(1, "fwc").with_be32(2, NFT_TABLE_F_OWNER);
    let subject = Subject { what: "the owned table".to_owned(), place: None };
    let messages = Messages { bytes: request.finish(0), index: vec![Part { offset: 0, subject }] };
    namespace.enter(|| {
        let mut socket = Socket::open().expect("a socket");
        Transaction::new(&messages).commit(&mut socket).expect("a table with an owner");
        work();
    });
}

#[test]
fn what_the_kernel_refuses_is_named_also_by_a_dry_run() {
    let namespace = Namespace::new("owned");
    while_owned(&namespace, || {
        let timeout = || std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_udp_timeout").expect("a sysctl");
        let before = namespace.ruleset();
        let timeout_before = namespace.enter(timeout);
        for more in [&["--format", "json"][..], &["--format", "json", "--dry-run"]] {
            let sized = Spec::new(&format!("{WEB}conntrack: {{timeouts: {{udp: 7s}}}}\n"));
            let ran = ended(try_apply(&namespace, &sized, more), 3);
            // It is set before the rules are loaded, so it was put back.
            assert_eq!(namespace.enter(timeout), timeout_before);
            assert_eq!(ran.stdout, "");
            assert_eq!(codes(&ran.stderr), ["FWC501"], "{ran}");
            let found = json(&ran.stderr)["diagnostics"][0].clone();
            let message = found["message"].as_str().expect("a message");
            assert!(message.starts_with("the kernel refused table inet fwc: "), "{message}");
            assert!(message.contains("nothing was changed"), "{message}");
            assert_eq!(namespace.ruleset(), before);
        }
    });
}

#[test]
fn a_sandbox_leaves_nothing_behind() {
    let namespace = Namespace::new("sandbox");
    namespace.write_nft(OTHERS);
    let before = namespace.ruleset();
    let ran = ended(namespace.fwc(&["apply", &Spec::new(WEB).path(), "--sandbox"]), 0);
    assert!(ran.stdout.starts_with("table inet fwc: checked in a sandbox"), "{ran}");
    ended(namespace.fwc(&["check", "--kernel", &Spec::new(WEB).path()]), 0);
    assert_eq!(namespace.ruleset(), before);
}

#[test]
fn a_namespace_that_is_not_there_is_a_failure_of_the_host() {
    let path = Spec::new(WEB);
    let path = path.path();
    for name in ["fwc-no-such-namespace", "../netns", ""] {
        for words in [&["apply", &path][..], &["apply", "--dry-run", &path], &["status"], &["remove"]] {
            let ran = ended(fwc(&[words, &["--netns", name, "--format", "json"]].concat()), 3);
            assert_eq!(ran.stdout, "");
            assert_eq!(codes(&ran.stderr), ["FWC505"], "{words:?} {name:?}");
        }
    }
}

#[test]
fn remove_deletes_what_fwc_loaded_and_nothing_else() {
    let namespace = Namespace::new("remove");
    namespace.write_nft(OTHERS);
    let others = namespace.ruleset();
    ended(try_apply(&namespace, &Spec::new(WEB), &[]), 0);
    assert_ne!(namespace.ruleset(), others);
    // In the namespace, and from outside.
    let ran = ended(namespace.fwc(&["remove"]), 0);
    assert_eq!(ran.stdout, "table inet fwc: removed\n");
    assert_eq!(namespace.ruleset(), others);
    ended(try_apply(&namespace, &Spec::new(WEB), &[]), 0);
    let remove = || json(&ended(fwc(&["remove", "--netns", namespace.name(), "--format", "json"]), 0).stdout);
    assert_eq!(
        remove(),
        serde_json::json!({"format": "fwc-remove", "version": 1, "removed": true, "ended_trial": null})
    );
    assert_eq!(namespace.ruleset(), others);
    assert_eq!(remove()["removed"], false);
    assert_eq!(namespace.ruleset(), others);
}
