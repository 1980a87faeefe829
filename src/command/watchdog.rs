//! The process that rolls back a pending apply when its time is over.
//!
//! It is started before anything is loaded and has to say that it is ready. It has a session of its own, so that neither the end of the ssh session
//! nor a signal to the shell's process group reaches it; where systemd runs, it is a transient unit of its own, so that ending the login
//! session's scope does not reach it either. SIGHUP and the like it ignores. SIGTERM means that the host is going down or that somebody wants it gone:
//! it rolls back at once, as nobody has confirmed yet. SIGKILL ends it; then the next fwc command rolls back what is overdue.

use std::cmp::Ordering;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::{Pid, close, setsid};
use procfs::process::Process;

use super::host;
use crate::cli::WatchdogArgs;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::watchdog_failed;
use crate::kernel::socket::Socket;
use crate::state::clock::ProcessId;
use crate::state::journal::{Journal, say_ready, watchdog};
use crate::state::undo::{FormerState, is_replaced};
use crate::state::{Account, Directory, Pending, Stage, StateError, clock, crash, log};

/// How long it may take to become ready.
const READY: Duration = Duration::from_secs(10);
/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(5);
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
        // It waits for nothing, so that it starts in a rescue shell too, and it ends when the host goes down.
        .args(["--property=DefaultDependencies=no", "--property=Conflicts=shutdown.target"])
        .arg("--property=Before=shutdown.target")
        .arg("--")
        .arg(program)
        .args(words)
        .arg(directory.path());
    if let Some(name) = netns {
        command.args(["--netns", name]);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let ended = in_time(|| child.try_wait().ok().flatten());
    if ended.is_none() {
        let _ = child.kill();
        let _ = child.wait();
    }
    ended.is_some_and(|status| status.success())
}

/// Waits for something, but not for ever, and not when `over`.
fn comes(is_there: impl Fn() -> bool, over: &mut dyn FnMut() -> bool) -> bool {
    let came = in_time(|| match is_there() {
        true => Some(true),
        false => over().then_some(false),
    });
    came == Some(true)
}

/// Looks again and again until there is something to see, but not for ever.
fn in_time<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let start = Instant::now();
    while start.elapsed() < READY {
        let seen = look();
        if seen.is_some() {
            return seen;
        }
        std::thread::sleep(PAUSE);
    }
    None
}

/// A watchdog that runs, as the list of processes tells it.
pub(super) struct Running {
    pub(super) pid: i32,
    /// The number of its apply.
    pub(super) number: u64,
}

/// The watchdogs of this network namespace and state directory, also where the directory no longer knows of them.
pub(super) fn running(state: &Path) -> Vec<Running> {
    let parent = state.parent().and_then(|parent| parent.canonicalize().ok());
    let full = state.canonicalize().ok().or_else(|| Some(parent?.join(state.file_name()?)));
    let (state, here) = (full.unwrap_or_else(|| state.to_path_buf()), clock::namespace());
    let is_here = |pid: i32| std::fs::metadata(format!("/proc/{pid}/ns/net")).is_ok_and(|found| found.ino() == here);
    let of = |process: Process| {
        let words = process.cmdline().ok()?;
        let behind = |option: &str| words.get(words.iter().position(|word| word == option)? + 1);
        let is_one = words.get(1).is_some_and(|word| word == "watchdog") && Path::new(behind("--state")?) == state;
        let number = behind("--number")?.parse().ok()?;
        (is_one && is_here(process.pid)).then_some(Running { pid: process.pid, number })
    };
    procfs::process::all_processes().into_iter().flatten().flatten().filter_map(of).collect()
}

/// Ends them without a rollback. Gives how many there were.
pub(super) fn end_all(state: &Path) -> usize {
    let running = running(state);
    running.iter().filter(|one| kill(Pid::from_raw(one.pid), Signal::SIGKILL).is_ok()).count()
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
    let mut trial = Trial::read(directory, arguments.number)?;
    say_ready(&trial.directory, trial.account.number).map_err(|_| NotReady)?;
    while !trial.is_over() {
        let left = trial.pending.left();
        if left.is_zero() {
            fire(&mut trial, &mut socket, "nobody confirmed in time");
            return Ok(());
        }
        if is_told_to_end(&signals, left.min(LOOK)) {
            fire(&mut trial, &mut socket, "the watchdog was told to end (SIGTERM)");
            return Ok(());
        }
    }
    Ok(())
}

/// The pending apply, as it was last read: the state directory may be damaged or gone when its time is over.
struct Trial {
    directory: Directory,
    account: Account,
    pending: Pending,
    former: FormerState,
    /// Whether the log has been told that the account cannot be read.
    is_told: bool,
}

impl Trial {
    fn read(directory: Directory, number: u64) -> Result<Self, NotReady> {
        let account = directory.account().ok().flatten().ok_or(NotReady)?;
        let pending = account.pending.clone().filter(|_| account.number == number).ok_or(NotReady)?;
        let former = FormerState::read(&directory, &account).map_err(|_| NotReady)?;
        Ok(Trial { directory, account, pending, former, is_told: false })
    }

    /// Whether an account speaks of this apply, and says that it is pending.
    fn is_pending(&self, account: &Account) -> bool {
        let by = account.pending.as_ref().map(|pending| pending.by);
        account.number == self.account.number && by == Some(self.pending.by)
    }

    /// Whether an account says that this apply is no longer pending, or is about a later one. One from before it, or of another namespace, says nothing.
    fn is_ended_by(&self, account: &Account) -> bool {
        let at = |account: &Account| account.applied.as_ref().map(|applied| applied.at);
        account.kernel == self.account.kernel
            && match account.number.cmp(&self.account.number) {
                Ordering::Greater => true,
                Ordering::Equal => !self.is_pending(account),
                // The directory was deleted since, and the numbers have begun anew.
                Ordering::Less => at(account) > at(&self.account),
            }
    }

    /// Looks at the account again. Only one that says so ends the trial: one that is damaged or gone is no confirmation.
    fn is_over(&mut self) -> bool {
        match self.directory.account() {
            Ok(Some(account)) if self.is_pending(&account) => self.refresh(account),
            Ok(Some(account)) if self.is_ended_by(&account) => return true,
            Ok(Some(_)) => self.tell(&format!("the account in {} is another one", self.directory.path().display())),
            Ok(None) => self.tell(&format!("there is no account in {} any more", self.directory.path().display())),
            Err(error) => self.tell(&error.to_string()),
        }
        false
    }

    /// An apply that has to look at the host again also writes down the former state again.
    fn refresh(&mut self, account: Account) {
        if account != self.account
            && let Some(pending) = account.pending.clone()
            && let Ok(former) = FormerState::read(&self.directory, &account)
        {
            (self.account, self.pending, self.former) = (account, pending, former);
        }
    }

    fn tell(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_told, true) {
            let until = clock::date(self.pending.until);
            log::write(&self.directory, &format!("{why}; what is on trial is rolled back at {until} all the same"));
        }
    }
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

/// Rolls back, unless somebody confirms at the last moment.
fn fire(trial: &mut Trial, socket: &mut Socket, why: &str) {
    let directory = trial.directory.clone();
    for attempt in 1..=TRIES {
        match roll_back(trial, socket, why) {
            Ok(()) => return,
            Err(StateError::Busy(_)) => end_who_hangs(&directory),
            Err(error) if attempt == 1 => {
                log::write(&directory, &format!("the rollback failed, and goes on: {error}"));
            }
            Err(_) => {}
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    log::write(&directory, "the rollback failed for good");
}

fn roll_back(trial: &mut Trial, socket: &mut Socket, why: &str) -> Result<(), StateError> {
    if is_replaced(&trial.account, socket)? {
        log::write(&trial.directory, "other rules were loaded since; nothing is rolled back");
        return Ok(());
    }
    match Journal::open_existing(trial.directory.path(), PATIENCE) {
        Ok(Some(mut journal)) => {
            // An apply that was killed may not have come to the load. A rollback that was killed is done again below.
            if journal.account.stage == Stage::Loading {
                journal.mend(socket)?;
            }
            if trial.is_pending(&journal.account) {
                trial.refresh(journal.account.clone());
                journal.roll_back_to(&trial.former, socket, why)?;
            } else if !trial.is_ended_by(&journal.account) {
                trial.former.put_back(&trial.directory, socket, why)?;
            }
            Ok(())
        }
        Err(busy @ StateError::Busy(_)) => Err(busy),
        Err(StateError::Corrupt(..)) => {
            let account = trial.account.clone();
            let mut journal = Journal::instead_of_damaged(trial.directory.clone(), account, PATIENCE)?;
            journal.roll_back_to(&trial.former, socket, why).map(drop)
        }
        // What somebody deleted, or opened to others, is not written anew.
        Ok(None) | Err(_) => trial.former.put_back(&trial.directory, socket, why).map(drop),
    }
}

/// An fwc that was stopped, or hangs, must not keep the former state away.
fn end_who_hangs(directory: &Directory) {
    if let Some(ProcessId { pid, .. }) = directory.holder() {
        log::write(directory, &format!("process {pid} held the lock for too long, and was killed"));
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
}
