//! A state directory that is damaged or gone, and rules that are not those that were applied: what is on trial still ends where it should.

use std::fs;

use nix::sys::signal::Signal::SIGTERM;

use super::{Host, OTHERS, eventually, is_alive, is_refused, signal};

const TORN: &str = "{\"format\": \"fwc-state\", \"vers";

type Harm = fn(&Host);

/// What somebody does to the state directory while an apply is pending.
const HARM: [(&str, Harm); 4] = [
    ("the account is torn", |host| fs::write(host.state("account.json"), TORN).expect("the account")),
    ("the account is gone", |host| fs::remove_file(host.state("account.json")).expect("the account")),
    ("the former table is torn", |host| fs::write(host.state("previous-2"), TORN).expect("the former table")),
    ("all is gone", |host| fs::remove_dir_all(host.state("")).expect("the directory")),
];

#[test]
fn no_damage_is_a_confirmation() {
    for (harm, harms) in HARM {
        let (host, old) = Host::with_old("harm");
        host.apply_within("3s");
        assert!(host.state("previous-2").exists(), "{harm}");
        harms(&host);
        eventually(harm, || host.rules() == old);
    }
}

#[test]
fn a_watchdog_without_an_account_still_ends_when_told() {
    for (harm, harms) in HARM {
        let (host, old) = Host::with_old("told");
        host.apply_within("10m");
        let watchdog = host.watchdog();
        harms(&host);
        signal(watchdog, SIGTERM);
        eventually(harm, || host.rules() == old);
        eventually("the end of the watchdog", || !is_alive(watchdog));
    }
}

#[test]
fn a_torn_account_is_told_and_mended_by_the_rollback() {
    let (host, old) = Host::with_old("torn");
    host.apply_within("10m");
    fs::write(host.state("account.json"), TORN).expect("the account");
    let status = host.fwc(&["status"]);
    assert!(status.status == 1 && status.stdout.contains("account.json is damaged"), "{status}");
    is_refused(&host.fwc(&["confirm"]), 3, "FWC513");
    is_refused(&host.fwc(&["apply", &host.new.path(), "--dry-run"]), 1, "FWC513");
    assert!(host.fwc(&["plan", &host.new.path()]).stderr.contains("FWC513"));
    is_refused(&host.fwc(&["apply", &host.new.path()]), 3, "account.json away");
    eventually("a line in the log", || host.log().contains("rolled back at"));
    signal(host.watchdog(), SIGTERM);
    host.comes_to(&old);
    host.agrees(Some(&host.old));
    assert_eq!(fs::read_to_string(host.state("account.json.damaged")).expect("the torn account"), TORN);
    host.apply_within("10m");
    host.fwc(&["confirm"]).expect_success("confirm");
    host.agrees(Some(&host.new));
}

#[test]
fn remove_works_with_a_torn_account_and_ends_the_trial() {
    let (host, _) = Host::with_old("remove-torn");
    host.apply_within("10m");
    let watchdog = host.watchdog();
    fs::write(host.state("account.json"), TORN).expect("the account");
    let ran = host.fwc(&["remove"]);
    assert!(ran.status == 0 && ran.stderr.contains("FWC513"), "{ran}");
    assert!(!host.rules().contains("inet fwc"));
    eventually("the end of the watchdog", || !is_alive(watchdog));
    assert!(!host.rules().contains("inet fwc"));
    host.fwc(&["apply", &host.new.path()]).expect_success("an apply after it");
    host.agrees(Some(&host.new));
}

#[test]
fn a_directory_that_others_may_write_to_keeps_nobody_from_removing() {
    use std::os::unix::fs::PermissionsExt;
    let (host, _) = Host::with_old("remove-open");
    fs::set_permissions(host.state(""), fs::Permissions::from_mode(0o777)).expect("the directory");
    let ran = host.fwc(&["remove"]);
    assert!(ran.status == 0 && ran.stderr.contains("FWC513"), "{ran}");
    assert!(!host.rules().contains("inet fwc"));
    let status = host.fwc(&["status"]);
    assert!(status.status == 1 && status.stdout.contains("others may write"), "{status}");
}

#[test]
fn only_what_is_loaded_is_confirmed() {
    for (harm, command) in [("flushed", "flush ruleset"), ("changed", "insert rule inet fwc input accept")] {
        let (host, old) = Host::with_old(harm);
        host.apply_within("10m");
        host.namespace.write_nft(command);
        is_refused(&host.fwc(&["confirm"]), 1, "FWC520");
        assert!(!host.account()["pending"].is_null(), "{harm}: {}", host.account());
        host.fwc(&["rollback"]).expect_success(harm);
        // A flush took the rules of others too.
        let now = host.rules();
        assert!(now == old || harm == "flushed" && old.ends_with(&now), "{harm}: {now}\n{OTHERS}");
        host.agrees(Some(&host.old));
    }
}
