//! What the kernel's log says of a full conntrack table.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use procfs::{Current, Uptime};

/// Room for one record: the kernel gives one at each read.
const RECORD: usize = 8 * 1024;
/// Records that are read at most, so that a log which grows as fast as it is read ends all the same.
const MOST: usize = 1_000_000;

/// The lines about a full table that the kernel still keeps. It writes few of them, however many packets it drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FullLines {
    /// Lines that name this network namespace, or none: kernels that name one do not name the initial one.
    pub here: u64,
    /// Lines that name another namespace.
    pub elsewhere: u64,
    /// How long ago the last one here was written.
    pub last: Option<Duration>,
}

/// Reads the kernel's log.
///
/// # Errors
/// It must not be read (the sysctl kernel.dmesg_restrict), or there is none.
pub fn full_lines() -> io::Result<FullLines> {
    let mut log = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open("/dev/kmsg")?;
    let here = std::fs::metadata("/proc/thread-self/ns/net").ok().map(|file| file.ino());
    let now = Uptime::current().ok().map(|uptime| uptime.uptime_duration());
    let (mut found, mut record) = (FullLines::default(), vec![0; RECORD]);
    for _ in 0..MOST {
        let length = match log.read(&mut record) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            // The record was overwritten meanwhile; the next read goes on behind it.
            Err(error) if error.raw_os_error() == Some(Errno::EPIPE as i32) => continue,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
        let Some(line) = Line::parse(&text) else { continue };
        if line.namespace.is_none() || line.namespace == here {
            found.here += 1;
            found.last = now.map(|now| now.saturating_sub(line.at));
        } else {
            found.elsewhere += 1;
        }
    }
    Ok(found)
}

#[derive(Debug, PartialEq, Eq)]
struct Line {
    /// Since the machine started.
    at: Duration,
    /// The inode of the namespace, where the line names one.
    namespace: Option<u64>,
}

impl Line {
    /// A record of /dev/kmsg, `level,number,microseconds,flags;text`, if it is about a full table. What processes have written into the log
    /// (facility other than 0) does not count.
    fn parse(record: &str) -> Option<Line> {
        let (prefix, text) = record.split_once(';')?;
        let text = text.lines().next()?;
        let behind = text.strip_prefix("nf_conntrack: ")?;
        // The module's name may stand there twice.
        let behind = behind.strip_prefix("nf_conntrack: ").unwrap_or(behind);
        let rest = behind.strip_prefix("table full")?;
        let namespace = match rest.strip_prefix(" in netns ") {
            Some(named) => Some(named.split(',').next()?.parse().ok()?),
            None => {
                rest.strip_prefix(", dropping packet")?;
                None
            }
        };
        let mut fields = prefix.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let microseconds = fields.nth(1)?.parse().ok()?;
        (priority >> 3 == 0).then_some(Line { at: Duration::from_micros(microseconds), namespace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_known() {
        let line = |at, namespace| Some(Line { at: Duration::from_micros(at), namespace });
        let parse = Line::parse;
        assert_eq!(
            parse("4,6041,90212345,-;nf_conntrack: table full, dropping packet\n SUBSYSTEM=x\n"),
            line(90_212_345, None)
        );
        assert_eq!(parse("4,9,7,-;nf_conntrack: nf_conntrack: table full, dropping packet"), line(7, None));
        let named = "4,9,7,-,caller=T1;nf_conntrack: nf_conntrack: table full in netns 4026532314, dropping packet";
        assert_eq!(parse(named), line(7, Some(4_026_532_314)));
    }

    #[test]
    fn other_lines_are_not() {
        for record in [
            "",
            "4,9,7,-;",
            "4,9,7,-;nf_conntrack: default automatic helper assignment has been turned off",
            "4,9,7,-;nf_conntrack: expectation table full",
            "4,9,7,-;neighbour: arp_cache: neighbor table overflow!",
            "4,9,7,-;nf_conntrack: table full in netns x, dropping packet",
            "12,9,7,-;nf_conntrack: table full, dropping packet",
            "x,9,7,-;nf_conntrack: table full, dropping packet",
        ] {
            assert_eq!(Line::parse(record), None, "{record}");
        }
    }
}
