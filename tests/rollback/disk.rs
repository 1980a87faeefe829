//! A full disk and a read-only one: nothing is loaded that could not be undone, and what is pending is undone all the same.

use std::fs;
use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::support::{Namespace, Spec};
use super::{Host, NEW, OLD, is_refused};

/// Does `work` where the state directory is a file system of 128 KiB. It is there for this thread and its children alone.
fn on_small_disk(host: &Host, work: impl FnOnce() + Send) {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let none: Option<&str> = None;
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).expect("private mounts");
        let options = Some("size=128k,mode=0700");
        mount(Some("tmpfs"), host.namespace.state_dir(), Some("tmpfs"), MsFlags::empty(), options).expect("a tmpfs");
        work();
    };
    std::thread::scope(|scope| scope.spawn(inside).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Leaves no byte free.
fn fill(host: &Host) {
    let path = host.state("ballast");
    let mut size = 256 * 1024;
    let mut bytes = fs::read(&path).unwrap_or_default();
    while size > 0 {
        let mut more = bytes.clone();
        more.resize(bytes.len() + size, 1);
        if fs::write(&path, &more).is_ok() {
            bytes = more;
        } else {
            size /= 2;
        }
    }
    fs::write(&path, &bytes).expect("what fitted before");
    assert!(fs::write(host.state("one-more"), [1]).is_err(), "the disk is not full");
    let _ = fs::remove_file(host.state("one-more"));
}

fn read_only(host: &Host, is: bool) {
    let none: Option<&str> = None;
    let flags = if is { MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY } else { MsFlags::MS_REMOUNT };
    mount(none, host.namespace.state_dir(), none, flags, none).expect("a remount");
}

fn host(purpose: &str) -> Host {
    Host { namespace: Namespace::new(purpose), old: Spec::new(OLD), new: Spec::new(NEW) }
}

/// Applies are refused, and nothing is changed.
#[track_caller]
fn nothing_is_loaded(host: &Host) {
    let before = host.rules();
    for more in [&[][..], &["--confirm-within", "10m"]] {
        let ran = host.fwc(&[&["apply", &host.new.path()], more].concat());
        is_refused(&ran, 3, "FWC513");
        assert_eq!(host.rules(), before);
    }
}

#[test]
fn on_a_full_disk_nothing_is_loaded() {
    let host = host("full");
    on_small_disk(&host, || {
        fill(&host);
        nothing_is_loaded(&host);
        fs::remove_file(host.state("ballast")).expect("room");
        host.fwc(&["apply", &host.old.path()]).expect_success("with room");
        let before = host.rules();
        fill(&host);
        nothing_is_loaded(&host);
        host.agrees(Some(&host.old));
        // What was applied can be undone without room.
        assert!(before.contains("fwc: old"));
        host.fwc(&["rollback"]).expect_success("rollback");
        assert_eq!(host.rules(), "");
        host.agrees(None);
    });
}

#[test]
fn a_disk_that_fills_up_stops_neither_confirm_nor_rollback() {
    let host = host("fills");
    on_small_disk(&host, || {
        host.fwc(&["apply", &host.old.path()]).expect_success("the old spec");
        let before = host.rules();
        host.apply_within("2s");
        fill(&host);
        host.comes_to(&before);
        host.agrees(Some(&host.old));
        fs::remove_file(host.state("ballast")).expect("room");
        host.apply_within("10m");
        let after = host.rules();
        fill(&host);
        host.fwc(&["confirm"]).expect_success("confirm");
        assert_eq!(host.rules(), after);
        host.agrees(Some(&host.new));
    });
}

#[test]
fn a_read_only_disk_loads_nothing_and_rolls_back_what_is_pending() {
    let host = host("read-only");
    on_small_disk(&host, || {
        read_only(&host, true);
        nothing_is_loaded(&host);
        read_only(&host, false);
        host.fwc(&["apply", &host.old.path()]).expect_success("the old spec");
        let before = host.rules();
        host.apply_within("2s");
        let after = host.rules();
        read_only(&host, true);
        // The rules go back on time; the account says so when it can be written.
        super::eventually("the old rules", || host.rules() == before);
        assert_ne!(before, after);
        is_refused(&host.fwc(&["confirm"]), 1, "FWC511");
        assert_eq!(host.rules(), before);
        read_only(&host, false);
        let _ = host.fwc(&["confirm"]);
        assert_eq!(host.rules(), before);
        host.agrees(Some(&host.old));
        // `fwc remove` gets by without its state.
        read_only(&host, true);
        let ran = host.fwc(&["remove"]);
        assert!(ran.status == 3 && ran.stderr.contains("the table is removed"), "{ran}");
        assert_eq!(host.rules(), "");
    });
}

#[test]
fn a_directory_that_others_may_write_to_is_not_used() {
    use std::os::unix::fs::PermissionsExt;
    let host = host("shared");
    let mode = |mode| fs::set_permissions(host.state(""), fs::Permissions::from_mode(mode)).expect("a mode");
    mode(0o777);
    nothing_is_loaded(&host);
    mode(0o700);
    host.fwc(&["apply", &host.new.path()]).expect_success("with its own directory");
    let files = fs::read_dir(Path::new(host.namespace.state_dir())).expect("the directory");
    for entry in files.flatten() {
        let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.path());
    }
}
