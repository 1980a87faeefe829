//! Applying again: only what differs is sent, what is remembered of the loaded table, and when it is not believed.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use fwc::state::crash::STEPS;
use nix::sys::signal::Signal;
use serde_json::Value;
use support::link::Link;
use support::{Namespace, Ran, Spec, cli, tools};

/// More addresses than fwc would read again before it replaces them.
const MANY: u32 = 40_000;

/// A host with a block list so long that fwc remembers the table rather than reading it.
struct Host {
    namespace: Namespace,
}

impl Host {
    fn new(purpose: &str) -> Host {
        Host { namespace: Namespace::new(purpose) }
    }

    fn fwc(&self, words: &[&str]) -> Ran {
        self.namespace.fwc(words)
    }

    #[track_caller]
    fn apply(&self, spec: &Spec) -> Value {
        let ran = self.fwc(&["apply", &spec.path(), "--format", "json"]);
        serde_json::from_str(&ran.expect_success("fwc apply")).expect("a report")
    }

    fn account(&self) -> Value {
        let text = fs::read_to_string(self.state("account.json")).expect("an account");
        serde_json::from_str(&text).expect("an account in JSON")
    }

    fn state(&self, file: &str) -> PathBuf {
        Path::new(self.namespace.state_dir()).join(file)
    }

    /// The file with the remembered table, if there is one.
    fn remembered(&self) -> Option<PathBuf> {
        self.account()["remembered"]["file"].as_str().map(|file| self.state(file))
    }

    fn status(&self) -> String {
        let ran = self.fwc(&["status", "--format", "json"]);
        let status: Value = serde_json::from_str(&ran.stdout).expect("a status");
        status["state"].as_str().expect("a state").to_owned()
    }

    /// The table as nft lists it, with the elements of each set in order: in a hash they have none.
    fn rules(&self) -> String {
        tools::sorted_elements(&self.namespace.ruleset())
    }
}

/// A spec that drops so many addresses, from this one on.
fn block(from: u32, count: u32) -> Spec {
    let mut list = String::new();
    for number in from..from + count {
        let _ = writeln!(list, "{}", std::net::Ipv4Addr::from(0x0a00_0000 + number * 3));
    }
    let text = "sets: {bad: {file: list.txt}}\nblock: [$bad]\nservices: {web: {listen: \"203.0.113.5:80\", stateless: true}}\n";
    Spec::new(text).file("list.txt", &list)
}

#[test]
fn the_former_table_of_a_large_one_is_the_remembered_one() {
    let host = Host::new("former");
    host.apply(&block(0, MANY));
    let rules = host.rules();
    let remembered = host.remembered().expect("a remembered table");
    host.apply(&block(50_000, MANY));
    assert_ne!(host.rules(), rules);
    let former = host.account()["previous"]["table"]["table"]["file"].as_str().map(|file| host.state(file));
    assert_eq!(former, Some(remembered));
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), rules);
    assert_eq!(host.status(), "as-applied");
}

#[test]
fn what_somebody_changed_since_is_seen_and_can_be_undone() {
    let host = Host::new("drift");
    let spec = block(0, MANY);
    host.apply(&spec);
    let rules = host.rules();
    let same = |ran: Ran| ran.status == 0;
    assert!(same(host.fwc(&["plan", &spec.path(), "--detailed-exitcode"])));
    assert_eq!(host.status(), "as-applied");
    host.namespace.write_nft("delete element inet fwc bad_v4 { 10.0.0.3 }");
    assert_eq!(host.status(), "drifted");
    assert!(!same(host.fwc(&["plan", &spec.path(), "--detailed-exitcode"])));
    let drifted = host.rules();
    host.apply(&spec);
    assert_eq!(host.rules(), rules);
    // The drifted table was read before it was replaced.
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), drifted);
}

#[test]
fn what_others_change_elsewhere_is_no_drift() {
    let host = Host::new("elsewhere");
    let spec = block(0, MANY);
    host.apply(&spec);
    host.namespace.write_nft("table ip other { chain c { counter; }; }");
    assert_eq!(host.status(), "as-applied");
    assert_eq!(host.fwc(&["plan", &spec.path(), "--detailed-exitcode"]).status, 0);
}

#[test]
fn a_remembered_table_that_was_damaged_is_not_believed() {
    let host = Host::new("damaged");
    host.apply(&block(0, MANY));
    let rules = host.rules();
    let file = host.remembered().expect("a remembered table");
    let mut bytes = fs::read(&file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 16].fill(0xee);
    fs::write(&file, &bytes).expect("a damaged file");
    host.apply(&block(50_000, MANY));
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), rules, "the former table was read from the kernel");
}

#[test]
fn another_kernel_life_has_nothing_to_remember() {
    let host = Host::new("life");
    let spec = block(0, MANY);
    host.apply(&spec);
    let other = Namespace::new("life_next");
    // As after a restart: the same state directory, and none of the rules.
    let mut command = cli::command(&["status", "--format", "json"]);
    command.env("FWC_STATE_DIR", host.namespace.state_dir());
    let status: Value = serde_json::from_str(&other.enter(|| tools::run(&mut command, "")).stdout).expect("a status");
    assert_eq!(status["state"], "not-loaded");
}

/// The old table or the new one, at whatever step it dies, and the next command goes on from there.
#[test]
fn an_apply_over_a_remembered_table_that_dies_at_a_step() {
    // The steps before are none of this table's.
    let mut reached = Vec::new();
    let first = STEPS.iter().position(|step| *step == "loading-written").expect("a step");
    for &step in &STEPS[first..] {
        let host = Host::new("dies");
        let (old, new) = (block(0, MANY), block(10, MANY));
        host.apply(&new);
        let new_rules = host.rules();
        host.apply(&old);
        let old_rules = host.rules();
        let mut command = cli::command(&["apply", &new.path()]);
        command.env("FWC_STATE_DIR", host.namespace.state_dir()).env("FWC_CRASH_AT", step);
        let ran = host.namespace.enter(|| tools::run(&mut command, ""));
        if ran.status == 0 {
            // A step of a trial, or behind the end.
            assert!(step.starts_with("watchdog") || reached.contains(&"settled-written"), "{step}");
            if step == "confirm-half" {
                break;
            }
            continue;
        }
        reached.push(step);
        assert_eq!(ran.status, -(Signal::SIGKILL as i32), "{step}: {ran}");
        let rules = host.rules();
        assert!(rules == old_rules || rules == new_rules, "{step}: neither the old nor the new rules");
        host.apply(&new);
        assert_eq!(host.rules(), new_rules, "{step}");
        host.fwc(&["rollback"]).expect_success(step);
        assert_eq!(host.rules(), rules, "{step}: what stood there before the second apply");
    }
}

const SERVICES: &str = "services:\n  ssh: {listen: \"*:22\"}\n  web: {listen: \"203.0.113.5:80\", stateless: true}\n";

/// Lets a service's element have counted something, as nft puts a counter back.
fn count(host: &Host) {
    let element = "203.0.113.5 . tcp . 80";
    host.namespace.write_nft(&format!(
        "delete element inet fwc service_requests_v4 {{ {element} }}\n\
         add element inet fwc service_requests_v4 {{ {element} counter packets 7 bytes 777 comment \"fwc: web\" }}"
    ));
}

fn counted(host: &Host) -> bool {
    host.namespace.ok(["nft", "list", "ruleset"]).contains("203.0.113.5 . tcp . 80 counter packets 7 bytes 777")
}

#[test]
fn what_differs_is_sent_and_counters_of_the_rest_go_on() {
    let host = Host::new("counters");
    let first = host.apply(&Spec::new(SERVICES));
    assert_eq!(first["update"], false);
    count(&host);
    // The ruleset has changed since, but the table is the one that was loaded.
    let more = Spec::new(&format!("{SERVICES}  dns: {{listen: \"203.0.113.5:53\", protocol: udp, stateless: true}}\n"));
    let second = host.apply(&more);
    assert_eq!(second["update"], true);
    assert!(counted(&host));
    assert!(second["bytes"].as_u64() < first["bytes"].as_u64(), "{second}");
    let third = host.apply(&Spec::new(&format!("{SERVICES}icmp: {{ping: false}}\n")));
    assert_eq!(third["update"], true);
    assert!(counted(&host));
    assert_eq!(host.status(), "as-applied");
}

#[test]
fn the_undo_of_what_differed_is_the_table_from_before() {
    let host = Host::new("undo");
    host.apply(&Spec::new(SERVICES));
    count(&host);
    let rules = host.rules();
    let other = Spec::new(&SERVICES.replace("*:22", "*:2222"));
    assert_eq!(host.apply(&other)["update"], true);
    assert_ne!(host.rules(), rules);
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), rules);
    assert!(counted(&host), "what was counted before the apply");
    // After a rollback nothing is remembered.
    assert_eq!(host.apply(&other)["update"], false);
}

#[test]
fn drift_forces_a_load_as_a_whole() {
    let host = Host::new("forced");
    let spec = Spec::new(SERVICES);
    host.apply(&spec);
    let rules = host.rules();
    for change in [
        "add rule inet fwc input tcp dport 99 accept",
        "add chain inet fwc mine",
        "add element inet fwc service_requests_v4 { 203.0.113.6 . tcp . 80 }",
        "add rule inet fwc signature drop",
        "delete table inet fwc",
    ] {
        host.namespace.write_nft(change);
        assert_eq!(host.apply(&spec)["update"], false, "{change}");
        assert_eq!(host.rules(), rules, "{change}");
    }
    assert_eq!(host.apply(&spec)["update"], true);
}

/// UDP packets of this namespace that came as far as the ports: nobody listens there.
fn arrived() -> u64 {
    let text = fs::read_to_string("/proc/thread-self/net/snmp").expect("statistics");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, figures) = (lines.next().expect("names"), lines.next().expect("figures"));
    let mut both = names.split(' ').zip(figures.split(' '));
    both.find(|(name, _)| *name == "NoPorts").expect("NoPorts").1.parse().expect("a number")
}

/// Sends to an open port and to a closed one until it is told to stop, and gives how many went to the open one.
fn flood(client: &Namespace, is_over: &AtomicBool) -> u64 {
    client.enter(|| {
        let socket = UdpSocket::bind((Link::CLIENT, 0)).expect("a socket");
        let mut sent = 0;
        while !is_over.load(Ordering::Relaxed) {
            sent += u64::from(socket.send_to(b"fwc", (Link::SERVER, 53)).is_ok());
            socket.send_to(b"fwc", (Link::SERVER, 9)).expect("a packet to the closed port");
            // What waits to be received is limited, and the machine has other work.
            std::thread::sleep(std::time::Duration::from_micros(20));
        }
        sent
    })
}

/// There is no moment without rules, or with half of them: neither when all is loaded nor when only what differs is.
#[test]
fn no_packet_is_lost_between_two_tables() {
    let link = Link::new("between");
    let dns = "  dns: {listen: \"203.0.113.5:53\", protocol: udp, stateless: true}\n";
    let more = "  more: {listen: \"203.0.113.5:54\", protocol: udp, stateless: true}\n";
    let specs = [("drop", ""), ("accept", ""), ("accept", more), ("drop", more)]
        .map(|(output, more)| Spec::new(&format!("policy: {{output: {output}}}\nservices:\n{dns}{more}")));
    let apply = |spec: &Spec| {
        let ran = link.server.fwc(&["apply", &spec.path(), "--format", "json"]).expect_success("fwc apply");
        serde_json::from_str::<Value>(&ran).expect("a report")["update"].as_bool().expect("a word")
    };
    apply(&specs[3]);
    let before = link.server.enter(arrived);
    let is_over = AtomicBool::new(false);
    let (sent, updates) = std::thread::scope(|scope| {
        let sender = scope.spawn(|| flood(&link.client, &is_over));
        let updates = specs.iter().cycle().take(40).filter(|spec| apply(spec)).count();
        is_over.store(true, Ordering::Relaxed);
        (sender.join().expect("a sender"), updates)
    });
    assert_eq!(link.server.enter(arrived) - before, sent, "packets that came through a closed port, or were lost");
    assert_eq!(link.server.conntrack_count(), 0);
    assert!(sent > 1000 && (10..=30).contains(&updates), "{sent} packets, {updates} updates");
}
