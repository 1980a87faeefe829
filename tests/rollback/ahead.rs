//! What `fwc plan` and `fwc apply --dry-run` say of an apply that waits to be confirmed, which stands in the way of the next one.

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{Host, eventually, is_refused, signal};

#[track_caller]
fn plan(host: &Host) -> (String, Value) {
    let path = host.old.path();
    let human = host.fwc(&["plan", &path]).expect_success("plan");
    let json = host.fwc(&["plan", &path, "--format", "json"]).expect_success("plan");
    (human, serde_json::from_str(&json).expect("a plan in JSON"))
}

#[test]
fn what_waits_to_be_confirmed_is_told_before_the_next_apply() {
    let (host, _) = Host::with_old("ahead");
    let (human, value) = plan(&host);
    assert!(!human.contains("NOT CONFIRMED") && value["pending"].is_null(), "{human}");
    host.apply_within("10m");
    let after = host.rules();
    let (human, value) = plan(&host);
    assert!(human.contains(&format!("  NOT CONFIRMED: {} waits until ", host.new.path())), "{human}");
    assert_eq!((&value["pending"]["overdue"], &value["pending"]["armed"]), (&false.into(), &true.into()), "{value}");
    assert_eq!(value["pending"]["spec"], host.new.path(), "{value}");
    assert!(value["pending"]["seconds_left"].as_u64().is_some_and(|left| left <= 600), "{value}");
    // As the apply itself would be.
    is_refused(&host.fwc(&["apply", &host.old.path(), "--dry-run"]), 1, "FWC510");
    assert_eq!(host.rules(), after);
    host.fwc(&["confirm"]).expect_success("confirm");
    assert!(!plan(&host).0.contains("NOT CONFIRMED"));
    host.fwc(&["apply", &host.old.path(), "--dry-run"]).expect_success("dry run");
}

#[test]
fn what_is_overdue_is_told_before_the_next_apply() {
    let (host, before) = Host::with_old("overdue");
    host.apply_within("1s");
    signal(host.watchdog(), Signal::SIGKILL);
    eventually("the deadline", || plan(&host).0.contains("  NOT CONFIRMED in time: "));
    let (_, value) = plan(&host);
    assert_eq!(value["pending"]["overdue"], true, "{value}");
    let dry = ["apply", &host.old.path(), "--dry-run"];
    let human = host.fwc(&dry).expect_success("dry run");
    assert!(human.contains(&format!("`fwc apply` too, first rolls {} back\n", host.new.path())), "{human}");
    let json = host.fwc(&[&dry[..], &["--format", "json"]].concat()).expect_success("dry run");
    let value: Value = serde_json::from_str(&json).expect("a report in JSON");
    assert_eq!(value["pending"]["overdue"], true, "{value}");
    // Looking changes nothing.
    assert_ne!(host.rules(), before);
    let json = host.fwc(&["apply", &host.old.path(), "--format", "json"]).expect_success("apply");
    assert_eq!(host.rules(), before);
    // What was seen of the host before the rollback is not what the apply goes by.
    let value: Value = serde_json::from_str(&json).expect("a report in JSON");
    assert_eq!(value["attempts"], 1, "{value}");
}
