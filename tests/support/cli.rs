//! The program under test, as a user runs it: specs in files, exit codes, artifacts.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use fwc::backend::iptables::{IPSET_FILE, V4_FILE, V6_FILE};
use tempfile::TempDir;

use super::namespace::Namespace;
use super::tools::{self, Ran, require, run};

/// A spec in a directory of its own, with the set files that it names beside it.
pub struct Spec {
    directory: TempDir,
}

impl Spec {
    /// Writes `yaml` to a file named spec.yaml.
    pub fn new(yaml: &str) -> Spec {
        let spec = Spec { directory: tempfile::tempdir().expect("a directory for the spec") };
        spec.file("spec.yaml", yaml)
    }

    /// Adds a file beside the spec, such as a set's list of addresses.
    #[must_use]
    pub fn file(self, name: &str, text: &str) -> Spec {
        let path = self.directory.path().join(name);
        fs::write(&path, text).unwrap_or_else(|error| panic!("{name}: {error}"));
        // Whatever the umask: root loads nothing that its group may write.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap_or_else(|error| panic!("{name}: {error}"));
        self
    }

    /// Where the spec is, as a command-line argument.
    pub fn path(&self) -> String {
        self.directory.path().join("spec.yaml").to_str().expect("a temporary path is text").to_owned()
    }
}

/// `fwc` with these words, in an environment that holds nothing of the person's who runs the tests. What changes anything needs a FWC_STATE_DIR.
pub fn command(words: &[&str]) -> Command {
    let mut command = tools::command([env!("CARGO_BIN_EXE_fwc")]);
    command.args(words).env("NO_COLOR", "1");
    for name in ["SSH_CONNECTION", "RUST_BACKTRACE"] {
        command.env_remove(name);
    }
    command
}

/// Runs `fwc` with these words to its end.
pub fn fwc(words: &[&str]) -> Ran {
    fwc_with(words, "")
}

/// The same with `input` as the standard input.
pub fn fwc_with(words: &[&str], input: &str) -> Ran {
    let state = tempfile::tempdir().expect("a directory for the state of fwc");
    run(command(words).env("FWC_STATE_DIR", state.path()), input)
}

/// Runs `fwc` as nobody, who is in no group; `within` is a command that runs it, such as `unshare`.
///
/// It is a copy of the program where everybody can reach it: a checkout in a home directory is out of reach.
pub fn as_nobody(within: &[&str], words: &[&str], input: &str) -> Ran {
    tools::require_root();
    require(&["setpriv"]);
    let folder = tempfile::tempdir().expect("a directory for the copy");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a mode for the directory");
    let program = folder.path().join("fwc");
    // Another process writes it: a child of this one, started meanwhile by another test, would hold it open for writing ("text file busy").
    let copied = run(tools::command(["cp", env!("CARGO_BIN_EXE_fwc")]).arg(&program), "");
    copied.expect_success("a copy of fwc");
    let mut command = tools::command(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.args(within).arg(program).args(words);
    run(command.env("FWC_STATE_DIR", "/nonexistent").env("NO_COLOR", "1").env_remove("SSH_CONNECTION"), input)
}

/// `fwc apply` of a spec to a namespace, from outside as an administrator does it, with more words behind.
pub fn try_apply(namespace: &Namespace, spec: &Spec, more: &[&str]) -> Ran {
    let path = spec.path();
    let words = [&["apply", &path, "--netns", namespace.name()], more].concat();
    run(command(&words).env("FWC_STATE_DIR", namespace.state_dir()), "")
}

/// Applies a spec text to a namespace and gives what `fwc apply` said. Panics when it fails.
#[track_caller]
pub fn apply(namespace: &Namespace, yaml: &str) -> String {
    try_apply(namespace, &Spec::new(yaml), &[]).expect_success(&format!("fwc apply of\n{yaml}\n"))
}

/// Which kernel interface the iptables programs speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    Nft,
    Legacy,
}

/// Compiles a spec text to iptables-restore files, loads them into a namespace as an administrator does, and gives the
/// directory with the files. Panics when a program refuses.
#[track_caller]
pub fn iptables_apply(namespace: &Namespace, yaml: &str, variant: Variant) -> TempDir {
    iptables_apply_spec(namespace, &Spec::new(yaml), variant)
}

/// The same for a spec with files beside it.
#[track_caller]
pub fn iptables_apply_spec(namespace: &Namespace, spec: &Spec, variant: Variant) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory for the artifacts");
    for (target, file) in [("iptables", V4_FILE), ("ip6tables", V6_FILE)] {
        let to = directory.path().join(file).display().to_string();
        fwc(&["compile", &spec.path(), "--target", target, "-o", &to]).expect_success("fwc compile");
    }
    iptables_load(namespace, directory.path(), variant);
    directory
}

/// Loads `rules.v4` and `rules.v6` of a directory into a namespace, the file for ipset first when there is one.
#[track_caller]
pub fn iptables_load(namespace: &Namespace, directory: &Path, variant: Variant) {
    let (v4, v6) = match variant {
        Variant::Nft => ("iptables-nft-restore", "ip6tables-nft-restore"),
        Variant::Legacy => ("iptables-legacy-restore", "ip6tables-legacy-restore"),
    };
    require(&[v4, v6]);
    let sets = directory.join(IPSET_FILE);
    if sets.exists() {
        require(&["ipset"]);
        load(namespace, &["ipset", "restore", "-exist"], &sets);
    }
    for (program, file) in [(v4, V4_FILE), (v6, V6_FILE)] {
        let path = directory.join(file);
        load(namespace, &[program, "--test"], &path);
        load(namespace, &[program], &path);
    }
}

#[track_caller]
fn load(namespace: &Namespace, words: &[&str], path: &Path) {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut command = tools::command(words);
    // The legacy programs lock a file that all namespaces share; a lock a namespace is enough.
    command.env("XTABLES_LOCKFILE", Path::new(namespace.state_dir()).join("xtables.lock"));
    let ran = namespace.enter(|| run(&mut command, &text));
    ran.expect_success(&format!("{} of\n{text}\n", words.join(" ")));
}
