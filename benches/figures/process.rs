//! A whole process: its time from start to end, and its memory.

use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::resource::{UsageWho, getrusage};

use super::support::tools;

/// The word with which this program runs another one to see its memory.
const PEAK_OF: &str = "--peak-memory-of";

/// Milliseconds from the start of `command` to its end. Panics with what it said when it fails.
pub fn milliseconds(command: &mut Command) -> f64 {
    timed(command.stdout(Stdio::null()))
}

/// The same, with what it wrote to its standard output.
pub fn output(command: &mut Command) -> (f64, String) {
    let mut written = tempfile::tempfile().expect("a temporary file");
    let took = timed(command.stdout(written.try_clone().expect("a second handle")));
    let mut text = String::new();
    written.rewind().expect("a file rewinds");
    written.read_to_string(&mut text).expect("a text");
    (took, text)
}

fn timed(command: &mut Command) -> f64 {
    let mut said = tempfile::tempfile().expect("a temporary file");
    command.stdin(Stdio::null()).stderr(said.try_clone().expect("a second handle"));
    let begin = Instant::now();
    let status = command.status().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let took = begin.elapsed();
    if !status.success() {
        let mut text = String::new();
        said.rewind().expect("a file rewinds");
        let _ = said.read_to_string(&mut text);
        panic!("{command:?}: {status}\n{text}");
    }
    took.as_secs_f64() * 1e3
}

/// The most memory that was resident at one time while `words` ran, in megabytes of 1,000,000 bytes.
pub fn peak_megabytes(words: &[&str]) -> f64 {
    // The kernel keeps one figure for all ended children, the largest. A process with a single child has that one's.
    let own = std::env::current_exe().expect("this program has a path");
    let own = own.to_str().expect("a path is text");
    let said = tools::run(&mut tools::command([&[own, PEAK_OF], words].concat()), "").expect_success("the run");
    let kib: f64 = said.trim().parse().unwrap_or_else(|error| panic!("{said:?} is no size: {error}"));
    kib * 1024.0 / 1e6
}

/// What this program does when it is started by [`peak_megabytes`]: runs the rest of its words and prints kibibytes.
/// Gives false when it was started for something else.
pub fn is_peak_run(words: &[String]) -> bool {
    let Some((PEAK_OF, command)) = words.split_first().map(|(first, rest)| (first.as_str(), rest)) else {
        return false;
    };
    milliseconds(&mut tools::command(command));
    println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN).expect("the kernel counts").max_rss());
    true
}
