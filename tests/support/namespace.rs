//! A network namespace: made for one test, gone with it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sched::{CloneFlags, setns};
use tempfile::TempDir;

use super::guard::Guard;
use super::tools::{Ran, Started, command, require, run, start};
use super::turn::Turn;

/// Rules that track everything and drop nothing.
pub const TRACKING: &str = "
table inet before {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established accept
    }
}
";

/// Ends what still runs in the namespace, waits for its end, and deletes the namespace.
const CLEAN_UP: &str = r#"
while pids=$(ip netns pids "$1") && [ -n "$pids" ]; do
    kill -9 $pids
    sleep 0.01
done
ip netns del "$1"
"#;

/// A network namespace with a name of its own under /run/netns, with loopback up and nothing else.
///
/// It goes away when it is dropped, with the processes in it, and also when the test panics or is killed.
pub struct Namespace {
    name: String,
    state: TempDir,
    // Dropped in this order: the namespace goes before its share in the machine.
    _guard: Guard,
    _turn: Turn,
}

impl Namespace {
    /// Makes a namespace; `purpose` is a word for its name, such as "server".
    pub fn new(purpose: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let turn = Turn::shared();
        require(&["ip", "nft", "conntrack"]);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fwc-{}-{count}-{purpose}", std::process::id());
        host(&["ip", "netns", "add", &name]);
        let guard = Guard::new(CLEAN_UP, &[&name]);
        let state = tempfile::tempdir().expect("a directory for the state of fwc");
        let namespace = Namespace { name, state, _guard: guard, _turn: turn };
        // A namespace may inherit these from the machine. Tests send with foreign sources, and at once.
        for kind in ["all", "default"] {
            namespace.set_sysctl(&format!("net/ipv4/conf/{kind}/rp_filter"), "0");
            namespace.set_sysctl(&format!("net/ipv6/conf/{kind}/accept_dad"), "0");
            namespace.set_sysctl(&format!("net/ipv6/conf/{kind}/disable_ipv6"), "0");
        }
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// The name under /run/netns, as `fwc apply --netns` takes it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A directory for FWC_STATE_DIR, which lives as long as the namespace.
    pub fn state_dir(&self) -> &OsStr {
        self.state.path().as_os_str()
    }

    /// Runs `work` in a thread inside this namespace. Sockets and processes that it makes stay there.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let path = format!("/run/netns/{}", self.name);
        let place = File::open(&path).unwrap_or_else(|error| panic!("{path} cannot be opened: {error}"));
        // A thread that moved stays there until it ends, so the caller's own is never moved.
        let inside = move || {
            setns(place, CloneFlags::CLONE_NEWNET).unwrap_or_else(|error| panic!("entering {path}: {error}"));
            work()
        };
        std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Runs a command in the namespace to its end.
    pub fn run<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Ran {
        self.run_with(words, "")
    }

    /// The same with `input` as the standard input.
    pub fn run_with<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>, input: &str) -> Ran {
        let mut command = command(words);
        self.enter(|| run(&mut command, input))
    }

    /// Runs a command that must succeed, and gives its standard output.
    #[track_caller]
    pub fn ok<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> String {
        let mut command = command(words);
        self.enter(|| run(&mut command, "")).expect_success(&format!("{command:?} in {}", self.name))
    }

    /// Starts a command in the namespace and lets it run.
    pub fn spawn<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Running {
        let mut command = command(words);
        Running { started: self.enter(|| start(&mut command, "")), over: false }
    }

    /// Runs `fwc` in the namespace, with a state directory of its own.
    pub fn fwc(&self, words: &[&str]) -> Ran {
        let mut command = super::cli::command(words);
        command.env("FWC_STATE_DIR", self.state_dir());
        self.enter(|| run(&mut command, ""))
    }

    /// `ip` with these words, for this namespace. Panics when it fails.
    #[track_caller]
    pub fn ip(&self, words: &[&str]) {
        host(&[&["ip", "-n", &self.name], words].concat());
    }

    /// Adds an address with its prefix length, v4 or v6, usable at once.
    #[track_caller]
    pub fn add_address(&self, address: &str, interface: &str) {
        let at_once: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        self.ip(&[&["addr", "add", address, "dev", interface], at_once].concat());
    }

    /// Loads an nftables ruleset text in one transaction. Panics when nft refuses it.
    #[track_caller]
    pub fn write_nft(&self, ruleset: &str) {
        self.run_with(["nft", "-f", "-"], ruleset).expect_success(&format!("loading\n{ruleset}\nby nft"));
    }

    /// All nftables rules, as nft lists them without the values of counters.
    #[track_caller]
    pub fn ruleset(&self) -> String {
        self.ok(["nft", "-s", "list", "ruleset"])
    }

    /// Sets a sysctl by its path below /proc/sys, such as `net/ipv4/ip_forward`.
    #[track_caller]
    pub fn set_sysctl(&self, path: &str, value: &str) {
        let path = format!("/proc/sys/{path}");
        self.enter(|| fs::write(&path, value)).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// The number of entries in this namespace's connection tracking table.
    pub fn conntrack_count(&self) -> u64 {
        let path = "/proc/sys/net/netfilter/nf_conntrack_count";
        match self.enter(|| fs::read_to_string(path)) {
            Ok(text) => text.trim().parse().unwrap_or_else(|error| panic!("{path} holds {text:?}: {error}")),
            // The file comes with the module, and without the module nothing is tracked.
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// The entries of this namespace's table, one a line, as `conntrack -L` prints them with `filter` behind it.
    pub fn conntrack_entries(&self, filter: &[&str]) -> Vec<String> {
        let families = ["ipv4", "ipv6"];
        let list = |family: &&str| self.ok([&["conntrack", "-L", "-f", *family], filter].concat());
        families.iter().flat_map(|family| list(family).lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// This namespace's counters in /proc/net/stat/nf_conntrack by name, summed over the processors.
    ///
    /// `entries` is left out: it is the same figure in each row, and [`Namespace::conntrack_count`] has it.
    pub fn conntrack_stat(&self) -> BTreeMap<String, u64> {
        // Not /proc/net, which shows the namespace of the process's first thread.
        let path = "/proc/thread-self/net/stat/nf_conntrack";
        let text = self.enter(|| fs::read_to_string(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut lines = text.lines();
        let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
        let mut sums = BTreeMap::new();
        for line in lines {
            for (name, field) in names.iter().zip(line.split_whitespace()).filter(|(name, _)| **name != "entries") {
                let figure = u64::from_str_radix(field, 16).unwrap_or_else(|error| panic!("{name} {field}: {error}"));
                *sums.entry((*name).to_owned()).or_default() += figure;
            }
        }
        sums
    }
}

#[track_caller]
fn host(words: &[&str]) {
    run(&mut command(words), "").expect_success(&words.join(" "));
}

/// A command that runs beside the test. Dropping it kills it and waits for its end.
#[must_use = "a command that nobody holds is killed at once"]
pub struct Running {
    started: Started,
    over: bool,
}

impl Running {
    /// Waits for the command to end by itself.
    pub fn wait(mut self) -> Ran {
        let status = self.started.child.wait().expect("the command can be waited for");
        self.over = true;
        self.started.collect(status)
    }

    /// Kills the command and gives what it had printed.
    pub fn kill(mut self) -> Ran {
        self.started.child.kill().expect("the command can be killed");
        let status = self.started.child.wait().expect("the command can be waited for");
        self.over = true;
        self.started.collect(status)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        i32::try_from(self.started.child.id()).expect("a process id")
    }

    /// Whether the command has not ended yet.
    pub fn is_running(&mut self) -> bool {
        self.started.child.try_wait().expect("the command can be looked at").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over {
            // Nothing to be done about errors here: the namespace's own clean-up comes behind this one.
            let _ = self.started.child.kill();
            let _ = self.started.child.wait();
        }
    }
}
