//! A state directory that is damaged or gone, and rules that are not those that were applied: what is on trial still ends where it should.

use std::fs;
use std::os::unix::fs::MetadataExt;

use fwc::kernel::socket::Socket;
use nix::sys::signal::Signal::{SIGKILL, SIGTERM};
use serde_json::Value;

use super::support::{Namespace, Spec, tools};
use super::{Host, OTHERS, eventually, is_alive, is_refused, signal};

const TORN: &str = "{\"format\": \"fwc-state\", \"vers";

type Harm = fn(&Host);

/// What somebody does to the state directory while an apply is pending.
const HARM: [(&str, Harm); 7] = [
    ("the account is torn", |host| fs::write(host.state("account.json"), TORN).expect("the account")),
    ("the account is gone", |host| fs::remove_file(host.state("account.json")).expect("the account")),
    ("the former table is torn", |host| fs::write(host.state("previous-2"), TORN).expect("the former table")),
    ("the former table is empty", |host| fs::write(host.state("previous-2"), "").expect("the former table")),
    ("the account is an older one", |host| {
        let mut account = host.account();
        account["number"] = 1.into();
        account["pending"] = Value::Null;
        account["applied"] = account["previous"]["applied"].clone();
        fs::write(host.state("account.json"), account.to_string()).expect("the account");
    }),
    ("the account is of another namespace", |host| {
        let mut account = host.account();
        account["kernel"]["cookie"] = 1.into();
        account["pending"] = Value::Null;
        fs::write(host.state("account.json"), account.to_string()).expect("the account");
    }),
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

#[test]
fn remove_is_not_undone_by_a_trial_that_nobody_remembers() {
    for (harm, harms) in [HARM[1], HARM[6]] {
        let (host, _) = Host::with_old("remove-gone");
        host.apply_within("10m");
        let watchdog = host.watchdog();
        harms(&host);
        let status = host.fwc(&["status"]);
        assert!(
            status.status == 1 && status.stdout.contains("rolls it back when its time is over"),
            "{harm}: {status}"
        );
        let told = host.fwc(&["remove"]).expect_success("remove");
        assert!(told.contains("its trial ends here"), "{harm}: {told}");
        eventually("the end of the watchdog", || !is_alive(watchdog));
        assert!(!host.rules().contains("inet fwc"), "{harm}");
    }
}

/// What `fwc status` promises of a trial that nobody remembers.
#[test]
fn an_apply_ends_a_trial_that_nobody_remembers() {
    let third =
        Spec::new("services: {other: {listen: \"203.0.113.5:8080\", stateless: true}, ssh: {listen: \"*:22\"}}\n");
    let (host, _) = Host::with_old("apply-gone");
    host.apply_within("10m");
    let watchdog = host.watchdog();
    fs::remove_dir_all(host.state("")).expect("the directory");
    host.fwc(&["apply", &third.path()]).expect_success("fwc apply");
    let loaded = host.rules();
    // It ends by itself, or has nothing to roll back.
    signal(watchdog, SIGTERM);
    eventually("the end of the watchdog", || !is_alive(watchdog));
    assert_eq!(host.rules(), loaded);
    host.agrees(Some(&third));
}

/// A rollback that cannot be done says so, changes nothing, and stands in nobody's way.
#[test]
fn a_former_table_that_was_changed_is_not_put_back() {
    let (host, _) = Host::with_old("changed");
    host.fwc(&["apply", &host.new.path()]).expect_success("the new spec");
    let loaded = host.rules();
    let former = fs::read(host.state("previous-2")).expect("the former table");
    for bytes in [former[..0].to_vec(), former[..former.len() - 4].to_vec(), [&former[..], &[0; 4]].concat()] {
        fs::write(host.state("previous-2"), bytes).expect("the former table");
        is_refused(&host.fwc(&["rollback"]), 3, "FWC513");
        assert_eq!(host.rules(), loaded);
        host.agrees(Some(&host.new));
    }
    fs::write(host.state("previous-2"), &former).expect("the former table");
    host.fwc(&["rollback"]).expect_success("rollback");
    host.agrees(Some(&host.old));
}

#[test]
fn what_can_never_be_rolled_back_does_not_stop_what_comes_next() {
    let (host, _) = Host::with_old("never");
    host.apply_within("1s");
    signal(host.watchdog(), SIGKILL);
    fs::write(host.state("previous-2"), TORN).expect("the former table");
    eventually("the deadline", || host.fwc(&["status"]).stdout.contains("NOT CONFIRMED in time"));
    let ran = host.fwc(&["apply", &host.old.path()]);
    assert!(ran.status == 0 && ran.stderr.contains("cannot be put back"), "{ran}");
    host.agrees(Some(&host.old));
}

#[test]
fn rules_that_replaced_those_on_trial_are_not_rolled_back() {
    let (host, _) = Host::with_old("replaced");
    let other =
        Spec::new("services: {other: {listen: \"203.0.113.5:8080\", stateless: true}, ssh: {listen: \"*:22\"}}\n");
    let text = host.fwc(&["compile", &other.path(), "--target", "nft"]).expect_success("compile");
    host.apply_within("10m");
    host.namespace.write_nft(&text);
    let loaded = host.rules();
    signal(host.watchdog(), SIGTERM);
    eventually("a line in the log", || host.log().contains("other rules were loaded since"));
    assert_eq!(host.rules(), loaded);
}

/// The kernel gives the inode of a namespace to another one, and generations begin anew: the table that the account knows may seem to be this one.
#[test]
fn a_namespace_made_anew_has_no_former_state() {
    let state = tempfile::tempdir().expect("a directory");
    let old = Spec::new(super::OLD);
    let fwc = |namespace: &Namespace, words: &[&str]| {
        let mut command = super::support::cli::command(words);
        command.env("FWC_STATE_DIR", state.path());
        namespace.enter(|| tools::run(&mut command, ""))
    };
    let first = Namespace::new("before");
    fwc(&first, &["apply", &old.path()]).expect_success("fwc apply");
    let text = first.ok(["nft", "list", "table", "inet", "fwc"]);
    drop(first);
    let anew = Namespace::new("anew");
    anew.write_nft(&text.replace("203.0.113.5", "203.0.113.66"));
    let path = state.path().join("account.json");
    let mut account: Value = serde_json::from_slice(&fs::read(&path).expect("an account")).expect("JSON");
    let (inode, generation) = anew.enter(|| {
        let inode = fs::metadata("/proc/thread-self/ns/net").expect("a namespace").ino();
        (inode, Socket::open().expect("a socket").generation().expect("a generation").0)
    });
    account["kernel"]["namespace"] = inode.into();
    account["remembered"]["generation"] = generation.into();
    fs::write(&path, account.to_string()).expect("the account");
    let status = fwc(&anew, &["status"]);
    assert!(status.status == 1 && status.stdout.contains("CHANGED"), "{status}");
    is_refused(&fwc(&anew, &["rollback"]), 3, "FWC513");
    fwc(&anew, &["apply", &old.path()]).expect_success("fwc apply");
    assert_eq!(fwc(&anew, &["status"]).status, 0);
}

/// A chain of a kind that fwc never makes.
#[test]
fn a_chain_at_ingress_is_a_change() {
    let (host, _) = Host::with_old("ingress");
    host.namespace.ip(&["link", "set", "lo", "up"]);
    host.namespace.write_nft("add chain inet fwc ing { type filter hook ingress device \"lo\" priority 0; }");
    let status = host.fwc(&["status"]);
    assert!(status.status == 1 && status.stdout.contains("CHANGED"), "{status}");
    let changed = host.rules();
    host.apply_within("10m");
    assert!(!host.rules().contains("ingress"));
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), changed);
}
