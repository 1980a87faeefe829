//! A real web server, a real load, a real client.

use std::fs;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::namespace::{Namespace, Running};
use super::tools::{Ran, find, require};

/// nginx in a namespace, in one process, with nothing outside a directory of its own.
pub struct Nginx {
    // Dropped in this order: the server ends before its directory goes.
    server: Running,
    directory: TempDir,
}

impl Nginx {
    /// Serves `/` (200, a short text) and the files of [`Nginx::put`] on these endpoints.
    pub fn start(on: &Namespace, listen: &[&str]) -> Nginx {
        Nginx::start_as("nginx", on, listen)
    }

    /// The same under another name, such as `sshd`, as the process list shows it.
    pub fn start_as(name: &str, on: &Namespace, listen: &[&str]) -> Nginx {
        require(&["nginx"]);
        let directory = tempfile::tempdir().expect("a directory for nginx");
        let root = directory.path().display();
        let listens: String = listen.iter().map(|to| format!("listen {to} backlog=1024; ")).collect();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {root}/{name}; "))
            .concat();
        let config = format!(
            "user root; daemon off; master_process off; pid {root}/pid; error_log {root}/error.log;\n\
             events {{ worker_connections 4096; }}\n\
             http {{ access_log off; {temporary}\n\
             server {{ {listens} root {root}/files; location = / {{ return 200 \"served\\n\"; }} }} }}\n"
        );
        fs::create_dir(directory.path().join("files")).expect("a directory for the files");
        let path = directory.path().join("nginx.conf");
        let program = directory.path().join(name);
        std::os::unix::fs::symlink(find("nginx"), &program).expect("another name for nginx");
        fs::write(&path, config).expect("the configuration of nginx is written");
        let log = directory.path().join("error.log");
        let words = [text(&program), "-e", text(&log), "-p", text(directory.path()), "-c", text(&path)];
        let mut server = on.spawn(words);
        // The pid file comes once all sockets listen.
        let end = Instant::now() + Duration::from_secs(10);
        while !fs::exists(directory.path().join("pid")).unwrap_or(false) {
            if !server.is_running() || Instant::now() > end {
                panic!("nginx does not start: {}\n{}", server.kill(), fs::read_to_string(&log).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Nginx { server, directory }
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.server.pid()
    }

    /// Adds a file of so many bytes, served as `/name`.
    pub fn put(&self, name: &str, bytes: usize) {
        let path = self.directory.path().join("files").join(name);
        fs::write(path, vec![b'.'; bytes]).expect("a file for nginx is written");
    }
}

fn text(path: &std::path::Path) -> &str {
    path.to_str().expect("a temporary path is text")
}

/// What wrk counted.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wrk {
    /// Requests that were answered.
    pub requests: u64,
    /// Answers outside 200 to 399.
    pub failed: u64,
    pub connect_errors: u64,
    pub read_errors: u64,
    pub write_errors: u64,
    /// Requests that had no answer within two seconds.
    pub timeouts: u64,
}

impl Wrk {
    /// Loads `url` from a namespace with 64 connections at a time, a new one for each request.
    pub fn run(from: &Namespace, url: &str, seconds: u32) -> Wrk {
        Wrk::report(Wrk::start(from, url, seconds).wait())
    }

    /// The same beside the test; give what it left behind to [`Wrk::report`].
    pub fn start(from: &Namespace, url: &str, seconds: u32) -> Running {
        require(&["wrk"]);
        // The client closes first and keeps its ports in TIME_WAIT; it must not run out of them.
        from.set_sysctl("net/ipv4/ip_local_port_range", "1024 65535");
        from.set_sysctl("net/ipv4/tcp_tw_reuse", "1");
        let duration = format!("-d{seconds}s");
        from.spawn(["wrk", "-t1", "-c64", &duration, "-H", "Connection: close", url])
    }

    /// Reads wrk's report. Panics when it is none.
    #[track_caller]
    pub fn report(ran: Ran) -> Wrk {
        let report = ran.expect_success("wrk");
        let number = |word: &str| word.trim().parse().unwrap_or_else(|_| panic!("{word:?} in wrk's report:\n{report}"));
        let mut counts = Wrk::default();
        let mut complete = false;
        for line in report.lines().map(str::trim) {
            if let Some((requests, _)) = line.split_once(" requests in ") {
                counts.requests = number(requests);
                complete = true;
            } else if let Some(figure) = line.strip_prefix("Non-2xx or 3xx responses:") {
                counts.failed = number(figure);
            } else if let Some(errors) = line.strip_prefix("Socket errors:") {
                for error in errors.split(',') {
                    match error.trim().split_once(' ') {
                        Some(("connect", figure)) => counts.connect_errors = number(figure),
                        Some(("read", figure)) => counts.read_errors = number(figure),
                        Some(("write", figure)) => counts.write_errors = number(figure),
                        Some(("timeout", figure)) => counts.timeouts = number(figure),
                        _ => panic!("{error:?} in wrk's report:\n{report}"),
                    }
                }
            }
        }
        assert!(complete, "wrk printed no report:\n{report}");
        counts
    }

    /// The requests that were sent and lost.
    pub fn lost(&self) -> u64 {
        self.failed + self.connect_errors + self.read_errors + self.write_errors + self.timeouts
    }
}

/// Fetches a URL from a namespace and gives the body; the error is what curl said.
pub fn curl(from: &Namespace, url: &str) -> Result<String, String> {
    require(&["curl"]);
    let ran = from.run(["curl", "--silent", "--show-error", "--fail", "--globoff", "--max-time", "5", url]);
    if ran.status == 0 { Ok(ran.stdout) } else { Err(ran.stderr) }
}
