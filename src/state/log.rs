//! What was rolled back, when and why: a line in the state directory's `log`, and one for the system's log.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use super::Directory;
use super::clock;

/// Where the system's log daemon listens.
const SYSLOG: &str = "/dev/log";
/// A daemon's warning: facility 3, severity 4.
const PRIORITY: u32 = (3 << 3) | 4;

/// Writes a line down. A log that cannot be written stops nothing.
pub fn write(directory: &Directory, line: &str) {
    let path = directory.path().join("log");
    // Not through a link: others may have come to write to the directory.
    let nofollow = nix::libc::O_NOFOLLOW;
    let mut options = OpenOptions::new();
    if let Ok(mut file) = options.append(true).create(true).mode(0o600).custom_flags(nofollow).open(path) {
        let _ = writeln!(file, "{} {line}", clock::date(clock::unix_now()));
    }
    send(Path::new(SYSLOG), line);
}

fn send(to: &Path, line: &str) {
    let Ok(socket) = UnixDatagram::unbound() else { return };
    let _ = socket.set_nonblocking(true);
    let _ = socket.send_to(format!("<{PRIORITY}>fwc[{}]: {line}", std::process::id()).as_bytes(), to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_log_gets_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        send(&path, "nobody listens");
        let daemon = UnixDatagram::bind(&path).unwrap();
        send(&path, "rolled back");
        let mut buffer = [0; 100];
        let length = daemon.recv(&mut buffer).unwrap();
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(text.starts_with("<28>fwc[") && text.ends_with("]: rolled back"), "{text}");
    }
}
