//! The machine's tools: where they are, which Debian package brings them, and what a run of one left behind.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

/// Each tool that a test may ask for, and the Debian package that has it. scripts/setup.sh installs the same packages.
const PACKAGES: &[(&str, &str)] = &[
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("ip", "iproute2"),
    ("ip6tables-legacy-restore", "iptables"),
    ("ip6tables-nft-restore", "iptables"),
    ("ipset", "ipset"),
    ("iptables-legacy-restore", "iptables"),
    ("iptables-nft-restore", "iptables"),
    ("nft", "nftables"),
    ("nginx", "nginx-light"),
    ("make", "make"),
    ("systemd-analyze", "systemd"),
    ("unshare", "util-linux"),
    ("wrk", "wrk"),
];

/// The search path for tools: the caller's, and the system directories that Debian leaves out for ordinary users.
pub fn path() -> String {
    let own = std::env::var("PATH").unwrap_or_default();
    format!("{own}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")
}

/// Panics with the name of the Debian package when one of `tools` is missing.
pub fn require(tools: &[&str]) {
    for tool in tools {
        let _ = find(tool);
    }
}

/// Where a tool is. Panics with the name of the Debian package when it is missing.
pub fn find(tool: &str) -> PathBuf {
    let found = path().split(':').map(|directory| Path::new(directory).join(tool)).find(|path| path.is_file());
    found.unwrap_or_else(|| {
        let package = PACKAGES.iter().find(|(name, _)| *name == tool).map_or(tool, |(_, package)| *package);
        panic!("this test needs `{tool}`: run `make setup`, or install the Debian package {package}")
    })
}

/// Panics when the process may not make network namespaces.
pub fn require_root() {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes network namespaces and needs root: run `make test`, which asks for it"
    );
}

/// What a finished command left behind.
#[derive(Debug)]
pub struct Ran {
    /// The exit code; the negative signal number when a signal ended it.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// Panics with all that the command printed unless it ended with 0; gives its standard output.
    #[track_caller]
    pub fn expect_success(self, what: &str) -> String {
        assert!(self.status == 0, "{what} failed: {self}");
        self.stdout
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}\n--- stdout\n{}\n--- stderr\n{}", self.status, self.stdout, self.stderr)
    }
}

/// A started command whose output goes to unnamed files, so that no pipe fills up while nobody reads.
pub struct Started {
    pub child: std::process::Child,
    stdout: File,
    stderr: File,
}

impl Started {
    /// What there is once the command has ended with `status`.
    pub fn collect(&mut self, status: ExitStatus) -> Ran {
        use std::os::unix::process::ExitStatusExt;
        Ran {
            status: status.code().unwrap_or_else(|| -status.signal().unwrap_or(0)),
            stdout: whole(&mut self.stdout),
            stderr: whole(&mut self.stderr),
        }
    }
}

fn whole(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("the output file rewinds");
    file.read_to_end(&mut bytes).expect("the output file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The state directory of an fwc, started directly or by what a test starts, for which the test names none. Nobody, not even root, can make it: what
/// needs a state is refused, instead of leaving it in the machine's own directory.
pub const NO_STATE: &str = "/proc/a-test-names-its-state-directory";

/// A command by its words, with the tools' search path.
pub fn command<A: AsRef<OsStr>>(words: impl IntoIterator<Item = A>) -> Command {
    let mut words = words.into_iter();
    let mut command = Command::new(words.next().expect("a command has a first word"));
    command.args(words).env("PATH", path()).env("LC_ALL", "C").env("FWC_STATE_DIR", NO_STATE);
    command
}

/// Starts `command` with `input` as its standard input.
pub fn start(command: &mut Command, input: &str) -> Started {
    let mut stdin = tempfile::tempfile().expect("a temporary file for the input");
    stdin.write_all(input.as_bytes()).expect("the input is written");
    stdin.rewind().expect("the input file rewinds");
    let stdout = tempfile::tempfile().expect("a temporary file for the output");
    let stderr = tempfile::tempfile().expect("a temporary file for the errors");
    let child = command
        .stdin(Stdio::from(stdin))
        .stdout(stdout.try_clone().expect("the output file has a second handle"))
        .stderr(stderr.try_clone().expect("the error file has a second handle"))
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    Started { child, stdout, stderr }
}

/// Runs `command` to its end with `input` as its standard input.
pub fn run(command: &mut Command, input: &str) -> Ran {
    let mut started = start(command, input);
    let status = started.child.wait().expect("the command can be waited for");
    started.collect(status)
}

/// A listing of nft's with the elements of each set in order: in a hash they have none.
pub fn sorted_elements(listing: &str) -> String {
    let mut parts = listing.split("elements = {");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (elements, rest) = part.split_once('}').expect("the end of a set");
        let mut elements: Vec<&str> = elements.split(',').map(str::trim).collect();
        elements.sort_unstable();
        text.push_str(&format!("elements = {{ {} }}{rest}", elements.join(", ")));
    }
    text
}
