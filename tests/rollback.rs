//! Confirm or roll back: whatever dies, the old rules or the new ones are loaded, never anything between, and the state directory says which.

#[path = "rollback/ahead.rs"]
mod ahead;
#[path = "rollback/boot.rs"]
mod boot;
#[path = "rollback/crash.rs"]
mod crash;
#[path = "rollback/damage.rs"]
mod damage;
#[path = "rollback/disk.rs"]
mod disk;
#[path = "rollback/session.rs"]
mod session;
mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Namespace, Ran, Spec, tools};

/// What stood there before, and what is applied.
const OLD: &str = "services:\n  ssh: {listen: \"*:22\"}\n  old: {listen: \"203.0.113.5:80\", stateless: true}\n";
const NEW: &str = "sets: {admins: [192.0.2.0/28]}\nservices:\n  ssh: {listen: \"*:22\", from: $admins}\n  new: {listen: \"*:443,1000-1009\"}\n";
/// Somebody else's rules.
const OTHERS: &str = "table ip other { chain c { type filter hook input priority 10; counter; }; }";

/// A namespace with a state directory, and two specs.
struct Host {
    namespace: Namespace,
    old: Spec,
    new: Spec,
}

impl Host {
    fn new(purpose: &str) -> Host {
        Host { namespace: Namespace::new(purpose), old: Spec::new(OLD), new: Spec::new(NEW) }
    }

    /// One on which the old spec is loaded, and its rules.
    #[track_caller]
    fn with_old(purpose: &str) -> (Host, String) {
        let host = Host::new(purpose);
        host.namespace.write_nft(OTHERS);
        host.fwc(&["apply", &host.old.path()]).expect_success("the old spec");
        let rules = host.rules();
        (host, rules)
    }

    fn fwc(&self, words: &[&str]) -> Ran {
        self.namespace.fwc(words)
    }

    /// The same with one more variable in the environment.
    fn fwc_with(&self, variable: (&str, &str), words: &[&str]) -> Ran {
        let mut command = support::cli::command(words);
        command.env("FWC_STATE_DIR", self.namespace.state_dir()).env(variable.0, variable.1);
        self.namespace.enter(|| tools::run(&mut command, ""))
    }

    /// Applies the new spec, to be confirmed in this time.
    #[track_caller]
    fn apply_within(&self, time: &str) {
        self.fwc(&["apply", &self.new.path(), "--confirm-within", time]).expect_success("the new spec");
    }

    fn rules(&self) -> String {
        self.namespace.ruleset()
    }

    fn state(&self, file: &str) -> PathBuf {
        PathBuf::from(self.namespace.state_dir()).join(file)
    }

    fn account(&self) -> Value {
        let text = fs::read_to_string(self.state("account.json")).expect("an account");
        serde_json::from_str(&text).expect("an account in JSON")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.state("log")).unwrap_or_default()
    }

    /// Waits until the rules are these, and nothing is pending.
    #[track_caller]
    fn comes_to(&self, rules: &str) {
        eventually("the former rules", || self.rules() == rules && self.account()["pending"].is_null());
    }

    /// The process that rolls back.
    fn watchdog(&self) -> i32 {
        let text = fs::read_to_string(self.state("watchdog.json")).expect("a watchdog");
        let said: Value = serde_json::from_str(&text).expect("a watchdog in JSON");
        said["process"]["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).expect("a process id")
    }

    /// What the account says agrees with what the kernel has: `old`, `new` or nothing.
    #[track_caller]
    fn agrees(&self, spec: Option<&Spec>) {
        let applied = self.account()["applied"]["spec"].as_str().map(str::to_owned);
        assert_eq!(applied, spec.map(Spec::path), "{}", self.account());
        let status = self.fwc(&["status", "--format", "json"]);
        let state: Value = serde_json::from_str(&status.stdout).expect("a status");
        let expected = if spec.is_some() { "as-applied" } else { "not-loaded" };
        assert_eq!(state["state"], expected, "{status}");
    }
}

/// Waits until something is so. How long it takes is not what is tested.
#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_alive(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn signal(pid: i32, signal: nix::sys::signal::Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).expect("the signal is sent");
}

#[track_caller]
fn is_refused(ran: &Ran, status: i32, code: &str) {
    assert!(ran.status == status && ran.stdout.is_empty() && ran.stderr.contains(code), "{code}: {ran}");
}
