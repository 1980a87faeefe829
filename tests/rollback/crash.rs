//! Killed at every step: the rules are the old ones or the new ones, and the next command makes the account agree with the kernel.

use fwc::state::crash::STEPS;
use nix::sys::signal::Signal;

use super::support::Spec;
use super::{Host, eventually, is_alive};

/// What became of a run that was told to die at a step.
#[track_caller]
fn died(host: &Host, step: &str, words: &[&str]) -> bool {
    let ran = host.fwc_with(("FWC_CRASH_AT", step), words);
    assert!(ran.status == 0 || ran.status == -(Signal::SIGKILL as i32), "{step}: {ran}");
    ran.status != 0
}

/// Which spec's rules are loaded; they must be one of the two to the byte.
#[track_caller]
fn loaded<'a>(host: &'a Host, step: &str, old: &str, new: &str) -> &'a Spec {
    let rules = host.rules();
    assert!(rules == old || rules == new, "{step}: neither the old nor the new rules\n{rules}");
    if rules == old { &host.old } else { &host.new }
}

/// The rules of the new spec.
fn new_rules(host: &Host) -> String {
    host.fwc(&["apply", &host.new.path()]).expect_success("the new spec");
    let rules = host.rules();
    host.fwc(&["rollback"]).expect_success("rollback");
    rules
}

/// The files that a state directory has when nothing is under way.
#[track_caller]
fn is_tidy(host: &Host, step: &str) {
    let names = std::fs::read_dir(host.state("")).expect("the directory").flatten();
    let names: Vec<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    let account = host.account().to_string();
    for name in names {
        let known = ["account.json", "lock", "spare", "log", "watchdog.json"].contains(&name.as_str());
        let number = name.trim_end_matches(".json").rsplit('-').next().unwrap_or_default();
        let spoken = account.contains(&name) || account.contains(&format!("\"number\":{number},"));
        assert!(known || spoken, "{step}: {name} is left over: {account}");
    }
}

#[test]
fn an_apply_that_dies_at_a_step() {
    let mut reached = Vec::new();
    for &step in STEPS {
        let (host, old) = Host::with_old("step");
        let new = new_rules(&host);
        if !died(&host, step, &["apply", &host.new.path()]) {
            continue;
        }
        reached.push(step);
        let spec = loaded(&host, step, &old, &new);
        let rules = host.rules();
        // Nothing to confirm, but on its way there it puts the account right.
        let ran = host.fwc(&["confirm"]);
        assert_eq!(ran.status, 1, "{step}: {ran}");
        assert_eq!(host.rules(), rules, "{step}");
        host.agrees(Some(spec));
        // What is loaded is what a boot loads, and all goes on.
        let confirmed = host.account()["confirmed"]["spec_sha256"].clone();
        assert_eq!(confirmed, host.account()["applied"]["spec_sha256"], "{step}");
        host.fwc(&["apply", &host.new.path()]).expect_success(step);
        is_tidy(&host, step);
        host.fwc(&["rollback"]).expect_success(step);
        assert_eq!(host.rules(), if spec.path() == host.old.path() { old } else { new }, "{step}");
    }
    let expected = [
        "texts-half",
        "texts-written",
        "previous-written",
        "loading-half",
        "loading-written",
        "sized",
        "loaded",
        "verified",
        "remembered",
        "settled-half",
        "settled-written",
    ];
    assert_eq!(reached, expected);
}

#[test]
fn a_pending_apply_that_dies_at_a_step() {
    let mut reached = Vec::new();
    for &step in STEPS.iter().filter(|step| **step != "watchdog-starts") {
        let (host, old) = Host::with_old("trial");
        let new = new_rules(&host);
        if !died(&host, step, &["apply", &host.new.path(), "--confirm-within", "2s"]) {
            // The step is the watchdog's own: it dies there, and the next command finishes its work.
            if step.starts_with("undo") || step == "restored" {
                reached.push(step);
                let watchdog = host.watchdog();
                eventually("the end of the watchdog", || !is_alive(watchdog));
                loaded(&host, step, &old, &new);
                host.fwc(&["confirm"]);
                assert_eq!(host.rules(), old, "{step}");
                host.agrees(Some(&host.old));
            }
            continue;
        }
        reached.push(step);
        loaded(&host, step, &old, &new);
        // Whoever was killed: nobody confirms, so the old rules come back, or were never gone.
        // The watchdog settles the account first and may die there too; then it is for the next command.
        let settles = step.starts_with("settled");
        eventually("the old rules", || host.rules() == old || settles && !is_alive(host.watchdog()));
        host.fwc(&["confirm"]);
        assert_eq!(host.rules(), old, "{step}");
        host.agrees(Some(&host.old));
        host.fwc(&["apply", &host.new.path()]).expect_success(step);
        is_tidy(&host, step);
    }
    let not_here = ["watchdog-starts", "confirm-half", "confirm-written"];
    let expected: Vec<&str> = STEPS.iter().copied().filter(|step| !not_here.contains(step)).collect();
    assert_eq!(reached, expected);
}

/// The sizes of the conntrack table belong to the rules: they come and go with them.
#[test]
fn sizes_go_with_the_rules() {
    let (host, old) = Host::with_old("sizes");
    let spec = Spec::new(&format!("{}conntrack: {{timeouts: {{udp: 33s}}}}\n", super::NEW));
    let path = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
    let timeout = || host.namespace.enter(|| std::fs::read_to_string(path)).expect("the setting");
    let former = timeout();
    assert!(died(&host, "sized", &["apply", &spec.path()]));
    assert!(timeout() == "33\n" && host.rules() == old);
    let ran = host.fwc(&["confirm"]);
    assert!(
        ran.stderr.contains("killed before its rules were loaded") && timeout() == former && host.rules() == old,
        "{ran}"
    );

    host.fwc(&["apply", &spec.path()]).expect_success("the sizes");
    assert_eq!(timeout(), "33\n");
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!((timeout(), host.rules()), (former.clone(), old.clone()));

    host.fwc(&["apply", &spec.path(), "--confirm-within", "1s"]).expect_success("the sizes on trial");
    host.comes_to(&old);
    assert_eq!(timeout(), former);
}

#[test]
fn a_confirm_that_dies_at_a_step() {
    for step in ["confirm-half", "confirm-written"] {
        let (host, old) = Host::with_old("kept");
        host.apply_within("3s");
        let new = host.rules();
        assert!(died(&host, step, &["confirm"]), "{step}");
        if step == "confirm-written" {
            eventually("the end of the watchdog", || !is_alive(host.watchdog()));
            assert_eq!(host.rules(), new);
            host.agrees(Some(&host.new));
        } else {
            host.comes_to(&old);
            host.agrees(Some(&host.old));
        }
    }
}

#[test]
fn a_rollback_that_dies_at_a_step() {
    for step in ["undo-half", "undo-written", "restored", "undone-half", "undone-written"] {
        let (host, old) = Host::with_old("back");
        host.fwc(&["apply", &host.new.path()]).expect_success("the new spec");
        let new = host.rules();
        assert!(died(&host, step, &["rollback"]), "{step}");
        loaded(&host, step, &old, &new);
        let ran = host.fwc(&["rollback"]);
        // Begun or not, finished or not: now the old rules are back.
        let begun = ["undo-written", "restored", "undone-half", "undone-written"].contains(&step);
        assert_eq!(ran.status, i32::from(begun), "{step}: {ran}");
        assert_eq!(host.rules(), old, "{step}");
        host.agrees(Some(&host.old));
        is_tidy(&host, step);
    }
}

#[test]
fn an_apply_that_hangs_with_the_lock_keeps_nothing_away() {
    let (host, old) = Host::with_old("hangs");
    let state = format!("FWC_STATE_DIR={}", host.state("").display());
    let (fwc, path) = (env!("CARGO_BIN_EXE_fwc"), host.new.path());
    let words = ["env", &state, "FWC_STOP_AT=loaded", fwc, "apply", &path, "--confirm-within", "1s"];
    let hangs = host.namespace.spawn(words);
    eventually("the new rules", || host.rules() != old);
    host.comes_to(&old);
    assert_eq!(hangs.wait().status, -(Signal::SIGKILL as i32));
    host.agrees(Some(&host.old));
    assert!(host.log().contains("held the lock for too long"), "{}", host.log());
}

#[test]
fn two_at_a_time_take_turns() {
    let (host, _) = Host::with_old("turns");
    let words = |path: &str| {
        let state = format!("FWC_STATE_DIR={}", host.state("").display());
        ["env", &state, env!("CARGO_BIN_EXE_fwc"), "apply", path].map(str::to_owned)
    };
    let all: Vec<_> = (0..6)
        .map(|count| host.namespace.spawn(words(&if count % 2 == 0 { host.new.path() } else { host.old.path() })))
        .collect();
    for one in all {
        one.wait().expect_success("apply");
    }
    let applied = host.account()["applied"]["spec"].as_str().map(str::to_owned);
    host.agrees(Some(if applied == Some(host.new.path()) { &host.new } else { &host.old }));
    assert_eq!(host.account()["number"], 7);
}
