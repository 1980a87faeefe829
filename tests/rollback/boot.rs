//! At boot: the confirmed spec is loaded, whatever became of the file since.

use std::fs;

use super::support::Spec;
use super::{Host, NEW, OLD, is_refused};

/// The host restarts: the rules and the processes are gone, the state directory stays and speaks of another boot.
fn restart(host: &Host) {
    host.namespace.write_nft("flush ruleset");
    if let Ok(text) = fs::read_to_string(host.state("watchdog.json")) {
        let said: serde_json::Value = serde_json::from_str(&text).expect("a watchdog");
        let pid = said["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a pid");
        if super::is_alive(pid) {
            super::signal(pid, nix::sys::signal::Signal::SIGKILL);
            super::eventually("the end of the watchdog", || !super::is_alive(pid));
        }
    }
    let mut account = host.account();
    account["kernel"]["boot"] = "another".into();
    fs::write(host.state("account.json"), account.to_string()).expect("the account");
}

fn change(spec: &Spec, text: &str) {
    fs::write(spec.path(), text).expect("the spec");
}

#[test]
fn a_fresh_host_loads_what_is_given() {
    let host = Host::new("fresh");
    host.fwc(&["apply", "--confirmed", &host.old.path()]).expect_success("boot");
    host.agrees(Some(&host.old));
}

#[test]
fn the_confirmed_spec_is_loaded_and_not_the_changed_one() {
    let host = Host::new("changed");
    let spec =
        Spec::new(&format!("sets: {{bad: {{file: bad.txt}}}}\nblock: [$bad]\n{OLD}")).file("bad.txt", "192.0.2.9\n");
    host.fwc(&["apply", &spec.path()]).expect_success("apply");
    let rules = host.rules();
    restart(&host);
    let ran = host.fwc(&["apply", "--confirmed", &spec.path()]);
    assert_eq!((ran.status, ran.stderr.as_str(), host.rules() == rules), (0, "", true), "{ran}");
    let list = std::path::Path::new(&spec.path()).with_file_name("bad.txt");
    for text in [NEW, "services: {web: {listen: 99999}}", ""] {
        restart(&host);
        change(&spec, text);
        // The set's file has changed too: the copy has its own.
        fs::write(&list, "192.0.2.10\n").expect("the set");
        let ran = host.fwc(&["apply", "--confirmed", &spec.path()]);
        assert!(ran.status == 0 && ran.stderr.contains("FWC517"), "{ran}");
        assert_eq!(host.rules(), rules);
    }
    restart(&host);
    fs::remove_file(spec.path()).expect("the spec goes");
    let ran = host.fwc(&["apply", "--confirmed", &spec.path()]);
    assert!(ran.status == 0 && ran.stderr.contains("FWC517") && host.rules() == rules, "{ran}");
}

#[test]
fn what_was_pending_is_not_loaded_at_boot() {
    let (host, old) = Host::with_old("pending");
    let old = old.split("table inet fwc").nth(1).map(str::to_owned).expect("the old rules");
    host.apply_within("10m");
    restart(&host);
    let ran = host.fwc(&["apply", "--confirmed", &host.new.path()]);
    assert!(ran.status == 0 && ran.stderr.contains("FWC517") && ran.stderr.contains("FWC519"), "{ran}");
    assert!(host.rules().contains(&old), "{}", host.rules());
    // Once confirmed, it is.
    host.apply_within("10m");
    host.fwc(&["confirm"]).expect_success("confirm");
    restart(&host);
    let ran = host.fwc(&["apply", "--confirmed", &host.new.path()]);
    assert!(ran.status == 0 && ran.stderr.is_empty() && host.rules().contains("fwc: new"), "{ran}");
}

#[test]
fn what_was_rolled_back_is_not_loaded_at_boot() {
    let host = Host::new("rejected");
    host.apply_within("10m");
    host.fwc(&["rollback"]).expect_success("rollback");
    restart(&host);
    is_refused(&host.fwc(&["apply", "--confirmed", &host.new.path()]), 1, "FWC518");
    assert_eq!(host.rules(), "");
    // Nor what was pending when the host went down.
    host.apply_within("10m");
    restart(&host);
    is_refused(&host.fwc(&["apply", "--confirmed", &host.new.path()]), 1, "FWC518");
    assert_eq!(host.rules(), "");
}

#[test]
fn after_a_boot_the_last_apply_can_still_be_undone() {
    let host = Host::new("undo");
    host.fwc(&["apply", &host.old.path()]).expect_success("the old spec");
    let old = host.rules();
    host.fwc(&["apply", &host.new.path()]).expect_success("the new spec");
    restart(&host);
    host.fwc(&["apply", "--confirmed", &host.new.path()]).expect_success("boot");
    assert_ne!(host.rules(), old);
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), old);
    host.agrees(Some(&host.old));
}
