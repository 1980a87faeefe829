//! The process that rolls back a pending apply when its time is over.
//!
//! It is started before anything is loaded and has to say that it is ready. It has a session of its own, so that neither the end of the ssh session
//! nor a signal to the shell's process group reaches it; where systemd runs, it is a transient unit of its own, so that ending the login
//! session's scope does not reach it either. SIGHUP and the like it ignores. SIGTERM means that the host is going down or that somebody wants it gone:
//! it rolls back at once, as nobody has confirmed yet. SIGKILL ends it; then the next fwc command rolls back what is overdue.

use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, close, setsid};

use super::host;
use crate::cli::WatchdogArgs;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::watchdog_failed;
use crate::kernel::socket::Socket;
use crate::state::clock::ProcessId;
use crate::state::journal::{Journal, say_ready, watchdog};
use crate::state::{Account, Directory, StateError, clock, crash, log};

/// How long it may take to become ready.
const READY: Duration = Duration::from_secs(10);
/// How often the account is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// How long another fwc may hold the lock when the time is over, before it is taken for hung and killed.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a rollback that fails is tried again, once a second.
const TRIES: u32 = 60;
/// systemd is the init system.
const SYSTEMD: &str = "/run/systemd/system";

/// Starts the watchdog of an apply and waits until it is ready.
pub(super) fn start(directory: &Directory, number: u64, netns: Option<&str>) -> Result<(), Diagnostic> {
    let words = ["watchdog", "--number", &number.to_string(), "--state"].map(str::to_string);
    let account = directory.account().ok().flatten().unwrap_or_default();
    let is_ready = || watchdog(directory, &account).is_some();
    // A unit starts in the namespace of systemd, and finds only a named one.
    let finds = netns.is_some() || clock::is_host_namespace();
    if finds
        && Path::new(SYSTEMD).is_dir()
        && as_unit(&words, directory, number, netns)
        && comes(is_ready, &mut || false)
    {
        return Ok(());
    }
    // The session of its own begins in the child. Its network namespace is ours.
    let mut child = Command::new("/proc/self/exe")
        .arg0("fwc")
        .args(&words)
        .arg(directory.path())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| watchdog_failed::report(&format!("it does not start: {error}")))?;
    let has_ended = |child: &mut Child| child.try_wait().is_ok_and(|status| status.is_some());
    if comes(is_ready, &mut || has_ended(&mut child)) {
        return Ok(());
    }
    let why = if has_ended(&mut child) { "it ended at once" } else { "it does not become ready" };
    let _ = child.kill();
    let _ = child.wait();
    Err(watchdog_failed::report(why))
}

/// Asks systemd to run it. Where that fails, it becomes a process of ours.
fn as_unit(words: &[String], directory: &Directory, number: u64, netns: Option<&str>) -> bool {
    let Ok(program) = std::env::current_exe() else { return false };
    let mut command = Command::new("systemd-run");
    command
        .args(["--quiet", "--collect", "--no-ask-password", "--property=Type=exec"])
        .arg(format!("--unit=fwc-rollback-{number}-{}", std::process::id()))
        .arg("--description=Rolls back an apply of fwc that nobody confirms")
        .arg("--")
        .arg(program)
        .args(words)
        .arg(directory.path());
    if let Some(name) = netns {
        command.args(["--netns", name]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Waits for something, but not for ever, and not when `over`.
fn comes(is_there: impl Fn() -> bool, over: &mut dyn FnMut() -> bool) -> bool {
    let start = Instant::now();
    while start.elapsed() < READY {
        if is_there() {
            return true;
        }
        if over() {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    false
}

/// The watchdog itself.
pub(super) fn run(arguments: &WatchdogArgs) -> ExitCode {
    match guard(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Why it could not become a watchdog. Nobody reads more than that.
struct NotReady;

fn guard(arguments: &WatchdogArgs) -> Result<(), NotReady> {
    crash::point("watchdog-starts");
    detach();
    let signals = signals()?;
    let directory = Directory::existing(&arguments.state).ok().flatten().ok_or(NotReady)?;
    host::enter(arguments.netns.as_deref()).map_err(|_| NotReady)?;
    let mut socket = host::socket().map_err(|_| NotReady)?;
    if pending(&directory, arguments.number).is_none() {
        return Err(NotReady);
    }
    say_ready(&directory, arguments.number).map_err(|_| NotReady)?;
    while let Some(account) = pending(&directory, arguments.number) {
        let left = account.pending.as_ref().map_or(Duration::ZERO, crate::state::Pending::left);
        if left.is_zero() {
            fire(&directory, arguments.number, &mut socket, "nobody confirmed in time");
            return Ok(());
        }
        if is_told_to_end(&signals, left.min(LOOK)) {
            fire(&directory, arguments.number, &mut socket, "the watchdog was told to end (SIGTERM)");
            return Ok(());
        }
    }
    Ok(())
}

/// Leaves the caller's session, and whatever files it had open: an ssh session ends only when nobody holds its pipes.
fn detach() {
    let _ = setsid();
    let open: Vec<i32> = std::fs::read_dir("/proc/self/fd")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect();
    for descriptor in open.into_iter().filter(|descriptor| *descriptor > 2) {
        let _ = close(descriptor);
    }
}

/// All signals that can be, held back to be read from a descriptor.
fn signals() -> Result<SignalFd, NotReady> {
    let all = SigSet::all();
    all.thread_block().map_err(|_| NotReady)?;
    SignalFd::with_flags(&all, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC).map_err(|_| NotReady)
}

/// Waits a while, and tells whether SIGTERM came. Others are read and forgotten.
fn is_told_to_end(signals: &SignalFd, wait: Duration) -> bool {
    let mut descriptors = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
    let milliseconds = u16::try_from(wait.as_millis()).unwrap_or(u16::MAX).saturating_add(1);
    let _ = poll(&mut descriptors, PollTimeout::from(milliseconds));
    let mut told = false;
    while let Ok(Some(signal)) = signals.read_signal() {
        told |= signal.ssi_signo == Signal::SIGTERM as u32;
    }
    told
}

/// The account, while the apply is pending. A file that cannot be read is not a confirmation.
fn pending(directory: &Directory, number: u64) -> Option<Account> {
    loop {
        match directory.account() {
            Ok(account) => return account.filter(|account| account.number == number && account.pending.is_some()),
            Err(_) => std::thread::sleep(LOOK),
        }
    }
}

/// Rolls back, unless somebody confirms at the last moment.
fn fire(directory: &Directory, number: u64, socket: &mut Socket, why: &str) {
    for attempt in 1..=TRIES {
        match roll_back(directory, number, socket, why) {
            Ok(()) => return,
            Err(StateError::Busy(_)) => end_who_hangs(directory),
            Err(error) if attempt == 1 => log::write(directory, &format!("the rollback failed, and goes on: {error}")),
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    log::write(directory, "the rollback failed for good");
}

fn roll_back(directory: &Directory, number: u64, socket: &mut Socket, why: &str) -> Result<(), StateError> {
    let Some(mut journal) = Journal::open_existing(directory.path(), PATIENCE)? else { return Ok(()) };
    journal.mend(socket)?;
    if journal.account.number == number && journal.account.pending.is_some() {
        journal.roll_back(socket, why)?;
    }
    Ok(())
}

/// An fwc that was stopped, or hangs, must not keep the former state away.
fn end_who_hangs(directory: &Directory) {
    if let Some(ProcessId { pid, .. }) = directory.holder() {
        log::write(directory, &format!("process {pid} held the lock for too long, and was killed"));
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
