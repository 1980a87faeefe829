//! Clean-up that happens also when the test process is killed.

use std::process::{Child, Command, Stdio};

use super::tools;

/// A shell script that waits until the test is over and then puts the machine back as it was.
///
/// It is a process of its own, with a pipe to the test process as its standard input: the pipe ends when the guard is
/// dropped, and just so when the test process dies, however it dies.
pub struct Guard {
    keeper: Child,
}

impl Guard {
    /// Starts the keeper. `script` is shell text that runs once the pipe has ended; `arguments` are its `$1`, `$2`.
    pub fn new(script: &str, arguments: &[&str]) -> Guard {
        use std::os::unix::process::CommandExt;
        let keeper = Command::new("sh")
            .args(["-c", &format!("cat >/dev/null\n{script}"), "keeper"])
            .args(arguments)
            .env("PATH", tools::path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Its own group, so that an interrupt from the keyboard ends the test and not the keeper.
            .process_group(0)
            .spawn()
            .expect("a shell starts");
        Guard { keeper }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // `wait` closes the pipe first.
        let ended = self.keeper.wait();
        if !std::thread::panicking() {
            let status = ended.expect("the keeper can be waited for");
            assert!(status.success(), "the clean-up failed: {status}");
        }
    }
}
