//! What a person sees: confirm, rollback, the time that runs out; sessions and processes that end.

use nix::sys::signal::Signal;

use super::support::{Namespace, tools};
use super::{Host, NEW, OLD, OTHERS, Spec, eventually, is_alive, is_refused, signal};

#[test]
fn what_is_confirmed_stays_and_can_still_be_undone() {
    let (host, before) = Host::with_old("confirm");
    let said = host.fwc(&["apply", &host.new.path(), "--confirm-within", "10m"]).expect_success("apply");
    assert!(said.contains("NOT CONFIRMED: rolled back at ") && said.contains("`fwc confirm` within 600s"), "{said}");
    let (after, watchdog) = (host.rules(), host.watchdog());
    assert_ne!(before, after);
    let status = host.fwc(&["status"]).expect_success("status");
    assert!(status.contains("NOT CONFIRMED: ") && status.contains(" is rolled back at "), "{status}");
    // Nothing else is loaded meanwhile.
    for more in [&["--confirm-within", "10m"][..], &[]] {
        let ran = host.fwc(&[&["apply", &host.old.path()], more].concat());
        is_refused(&ran, 1, "FWC510");
        assert!(ran.stderr.contains("`fwc confirm`") && ran.stderr.contains("`fwc rollback`"), "{ran}");
        assert_eq!(host.rules(), after);
    }
    // From a session of its own.
    let fwc = env!("CARGO_BIN_EXE_fwc");
    let mut other = tools::command(["setsid", "--wait", fwc, "confirm"]);
    other.env("FWC_STATE_DIR", host.namespace.state_dir());
    let said = host.namespace.enter(|| tools::run(&mut other, "")).expect_success("confirm");
    assert!(said.starts_with("table inet fwc: confirmed\n"), "{said}");
    eventually("the end of the watchdog", || !is_alive(watchdog));
    assert_eq!(host.rules(), after);
    host.agrees(Some(&host.new));
    is_refused(&host.fwc(&["confirm"]), 1, "FWC511");

    let said = host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(said, "table inet fwc: the former table is back\n");
    assert_eq!(host.rules(), before);
    host.agrees(Some(&host.old));
    is_refused(&host.fwc(&["rollback"]), 1, "FWC512");
}

#[test]
fn what_nobody_confirms_is_rolled_back() {
    let (host, before) = Host::with_old("time");
    host.apply_within("1s");
    host.comes_to(&before);
    host.agrees(Some(&host.old));
    assert!(host.log().contains("rolled back: nobody confirmed in time; the former table is back"), "{}", host.log());
    is_refused(&host.fwc(&["confirm"]), 1, "FWC511");
    // And again.
    host.apply_within("1s");
    host.comes_to(&before);
}

#[test]
fn where_nothing_was_loaded_nothing_is_loaded_again() {
    let host = Host::new("nothing");
    host.namespace.write_nft(OTHERS);
    let before = host.rules();
    host.apply_within("1s");
    host.comes_to(&before);
    host.agrees(None);
    assert!(host.log().contains("no table is loaded, as before"), "{}", host.log());
    // At once, without waiting.
    host.apply_within("10m");
    let watchdog = host.watchdog();
    let said = host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(said, "table inet fwc: not loaded, as before\n");
    assert_eq!(host.rules(), before);
    eventually("the end of the watchdog", || !is_alive(watchdog));
}

#[test]
fn changes_by_hand_come_back_too() {
    let (host, _) = Host::with_old("hand");
    host.namespace.write_nft("insert rule inet fwc input ip saddr 198.51.100.9 counter drop comment \"by hand\"");
    let before = host.rules();
    assert!(before.contains("by hand"));
    host.apply_within("1s");
    assert!(!host.rules().contains("by hand"));
    host.comes_to(&before);
}

#[test]
fn a_table_that_would_not_come_back_is_not_replaced_on_trial() {
    let (host, _) = Host::with_old("lost");
    host.namespace.write_nft("add set inet fwc seen { type ipv4_addr; flags timeout; timeout 1h; }");
    let before = host.rules();
    let ran = host.fwc(&["apply", &host.new.path(), "--confirm-within", "10m"]);
    is_refused(&ran, 3, "FWC514");
    assert!(ran.stderr.contains("the set seen changes by itself"), "{ran}");
    assert_eq!(host.rules(), before);
    let said = host.fwc(&["apply", &host.new.path()]).expect_success("without a promise");
    assert!(said.contains("`fwc rollback` is not possible: the former table was not kept"), "{said}");
    let after = host.rules();
    is_refused(&host.fwc(&["rollback"]), 1, "FWC514");
    assert_eq!(host.rules(), after);
}

#[test]
fn former_settings_are_written_back() {
    let (host, before) = Host::with_old("settings");
    let (path, other) = ("/proc/sys/net/netfilter/nf_conntrack_generic_timeout", host.state("no-setting"));
    host.namespace.set_sysctl("net/netfilter/nf_conntrack_generic_timeout", "321");
    host.fwc(&["apply", &host.new.path()]).expect_success("the new spec");
    // As an apply that changes them writes it down. What is no setting of the network is left alone.
    let mut account = host.account();
    account["previous"]["sizing"] = serde_json::json!({ path: "321", other.display().to_string(): "x" });
    std::fs::write(host.state("account.json"), account.to_string()).expect("the account");
    host.namespace.set_sysctl("net/netfilter/nf_conntrack_generic_timeout", "123");
    let ran = host.fwc(&["rollback", "--format", "json"]);
    let said: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(said["unset"], serde_json::json!([format!("{} = x", other.display())]), "{ran}");
    assert_eq!(host.namespace.enter(|| std::fs::read_to_string(path)).expect("the setting"), "321\n");
    assert!(!other.exists() && host.rules() == before);
}

/// A shell in a session of its own that applies and then stays, as a login does. Gives its process group once the rules are loaded.
fn session(host: &Host, time: &str) -> (super::support::Running, i32) {
    let script = "\"$0\" apply \"$1\" --confirm-within \"$2\"; sleep 100";
    let before = host.rules();
    let (fwc, state) = (env!("CARGO_BIN_EXE_fwc"), format!("FWC_STATE_DIR={}", host.state("").display()));
    let path = host.new.path();
    // Whoever runs the tests under nohup has SIGHUP ignored, and so have all their children.
    let shell =
        host.namespace.spawn(["setsid", "env", "--default-signal=HUP", &state, "sh", "-c", script, fwc, &path, time]);
    eventually("the new rules", || host.rules() != before && host.account()["stage"] == "settled");
    let leader = std::fs::read_to_string(format!("/proc/{}/stat", host.watchdog())).expect("the watchdog");
    let own: i32 = leader.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(3)?.parse().ok()).unwrap();
    assert_eq!(own, host.watchdog(), "the watchdog leads a session of its own");
    let pid = shell.pid();
    (shell, pid)
}

#[test]
fn the_end_of_the_session_stops_nothing() {
    for last in [Signal::SIGHUP, Signal::SIGKILL] {
        let (host, before) = Host::with_old("hangup");
        // Long enough to be seen on a busy machine.
        let (shell, group) = session(&host, "10s");
        // The whole process group, and the watchdog gets the hang-up too.
        signal(host.watchdog(), Signal::SIGHUP);
        signal(host.watchdog(), Signal::SIGINT);
        signal(-group, last);
        let ran = shell.wait();
        assert_eq!(ran.status, -(last as i32), "{ran}");
        host.comes_to(&before);
        assert!(host.log().contains("nobody confirmed in time"), "{}", host.log());
    }
}

#[test]
fn the_watchdog_holds_no_file_of_the_session() {
    let (host, _) = Host::with_old("files");
    let (shell, _) = session(&host, "10m");
    let open = std::fs::read_dir(format!("/proc/{}/fd", host.watchdog())).expect("its files");
    for entry in open.flatten() {
        let to = std::fs::read_link(entry.path()).unwrap_or_default();
        let to = to.to_string_lossy().into_owned();
        let is_own = to == "/dev/null" || to.starts_with("socket:") || to.starts_with("anon_inode:");
        assert!(is_own, "{to}");
    }
    drop(shell);
    host.fwc(&["rollback"]).expect_success("rollback");
}

#[test]
fn a_watchdog_that_is_told_to_end_rolls_back_at_once() {
    let (host, before) = Host::with_old("term");
    host.apply_within("10m");
    signal(host.watchdog(), Signal::SIGTERM);
    host.comes_to(&before);
    assert!(host.log().contains("SIGTERM"), "{}", host.log());
}

#[test]
fn without_its_watchdog_the_next_command_rolls_back() {
    for command in ["confirm", "apply", "rollback"] {
        let (host, before) = Host::with_old("killed");
        host.apply_within("1s");
        signal(host.watchdog(), Signal::SIGKILL);
        let after = host.rules();
        eventually("the deadline", || host.fwc(&["status"]).stdout.contains("NOT CONFIRMED in time"));
        assert_eq!((host.fwc(&["status"]).status, host.rules() == after), (1, true));
        match command {
            "confirm" => is_refused(&host.fwc(&["confirm"]), 1, "not confirmed in time"),
            "rollback" => is_refused(&host.fwc(&["rollback"]), 1, "FWC519"),
            _ => {
                let ran = host.fwc(&["apply", &host.old.path()]);
                assert!(ran.status == 0 && ran.stderr.contains("FWC519"), "{ran}");
            }
        }
        assert_eq!(host.rules(), before);
        host.agrees(Some(&host.old));
    }
}

#[test]
fn a_watchdog_that_is_gone_early_is_told() {
    let (host, before) = Host::with_old("early");
    host.apply_within("10m");
    let watchdog = host.watchdog();
    signal(watchdog, Signal::SIGKILL);
    eventually("its end", || !is_alive(watchdog));
    let status = host.fwc(&["status"]);
    assert!(status.stdout.contains("but the process for it is gone: `fwc rollback` does it now"), "{status}");
    host.fwc(&["rollback"]).expect_success("rollback");
    assert_eq!(host.rules(), before);
}

#[test]
fn a_named_namespace_has_a_state_of_its_own() {
    let (web, mail) = (Namespace::new("web"), Namespace::new("mail"));
    let (old, new) = (Spec::new(OLD), Spec::new(NEW));
    let run = |words: &[&str], namespace: &Namespace| {
        let words = [words, &["--netns", namespace.name()]].concat();
        tools::run(super::support::cli::command(&words).env("FWC_STATE_DIR", web.state_dir()), "")
    };
    run(&["apply", &old.path(), "--confirm-within", "10m"], &web).expect_success("web");
    run(&["apply", &new.path()], &mail).expect_success("mail, while web waits");
    is_refused(&run(&["confirm"], &mail), 1, "FWC511");
    let ran = run(&["apply", &new.path()], &web);
    is_refused(&ran, 1, "FWC510");
    assert!(ran.stderr.replace(['\n', '|'], " ").contains(&format!("--netns {}", web.name())), "{ran}");
    run(&["confirm"], &web).expect_success("confirm");
    run(&["rollback"], &mail).expect_success("rollback");
    assert_eq!(mail.ruleset(), "");
    assert!(web.ruleset().contains("fwc: old"), "{}", web.ruleset());
    // The same directory from two namespaces without their names would mix them up.
    let mixed = |namespace: &Namespace| {
        let mut command = super::support::cli::command(&["apply", &old.path(), "--confirm-within", "10m"]);
        command.env("FWC_STATE_DIR", mail.state_dir());
        namespace.enter(|| tools::run(&mut command, ""))
    };
    mixed(&mail).expect_success("mail");
    is_refused(&mixed(&web), 3, "FWC513");
    mail.fwc(&["rollback"]).expect_success("rollback");
}

#[test]
fn remove_ends_what_is_pending() {
    let (host, _) = Host::with_old("remove");
    host.apply_within("10m");
    let watchdog = host.watchdog();
    let told = host.fwc(&["remove"]).expect_success("remove");
    assert!(told.contains("its trial ends here"), "{told}");
    eventually("the end of the watchdog", || !is_alive(watchdog));
    assert!(!host.rules().contains("inet fwc") && host.rules().contains("table ip other"));
    host.agrees(None);
    is_refused(&host.fwc(&["rollback"]), 1, "FWC512");
}

#[test]
fn trials_leave_no_state() {
    let host = Host::new("trials");
    host.fwc(&["apply", &host.new.path(), "--dry-run"]).expect_success("dry run");
    host.fwc(&["apply", &host.new.path(), "--sandbox"]).expect_success("sandbox");
    host.fwc(&["status"]);
    host.fwc(&["remove"]).expect_success("remove");
    assert_eq!(std::fs::read_dir(host.state("")).expect("the directory").count(), 0);
}

#[test]
fn a_rollback_that_cannot_be_armed_loads_nothing() {
    let (host, before) = Host::with_old("unarmed");
    let words = ["apply", &host.new.path(), "--confirm-within", "10m"];
    is_refused(&host.fwc_with(("FWC_CRASH_AT", "watchdog-starts"), &words), 3, "FWC515");
    assert_eq!(host.rules(), before);
    host.agrees(Some(&host.old));
    host.fwc(&["apply", &host.new.path()]).expect_success("nothing is pending");
}

/// Where systemd runs, the watchdog is a unit of its own: here a program in its place notes how it was asked, and runs the command.
#[test]
fn where_systemd_runs_the_watchdog_is_a_unit() {
    let namespace = Namespace::new("unit");
    let (spec, folder) = (Spec::new(NEW), tempfile::tempdir().expect("a folder"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    for (name, rest) in [
        ("systemd-run", "while [ \"$1\" != -- ]; do shift; done; shift; setsid \"$@\" </dev/null >/dev/null 2>&1 &"),
        ("broken", "exit 1"),
    ] {
        use std::os::unix::fs::PermissionsExt;
        let bin = folder.path().join(format!("bin-{name}"));
        std::fs::create_dir(&bin).expect("a folder");
        let program = bin.join("systemd-run");
        std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >> {}\n{rest}\n", path("asked"))).expect("a program");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    // A /run of its own, with systemd's directory in it and the named namespaces as they are.
    let script = "
        mkdir \"$1/keep\"; mount --rbind /run/netns \"$1/keep\"; mount -t tmpfs tmpfs /run
        mkdir -p /run/netns /run/systemd/system; mount --move \"$1/keep\" /run/netns
        PATH=\"$1/$2:$PATH\"; shift 2; exec \"$@\"";
    for (bin, asked) in [("bin-systemd-run", 1), ("bin-broken", 2)] {
        let state = path(&format!("state-{bin}"));
        let words = ["unshare", "-m", "--propagation", "private", "sh", "-ec", script, "sh", &path(""), bin];
        let rest = [env!("CARGO_BIN_EXE_fwc"), "apply", &spec.path(), "--netns", namespace.name()];
        let mut command = tools::command(words.iter().chain(&rest).chain(&["--confirm-within", "1s"]));
        tools::run(command.env("FWC_STATE_DIR", &state).env_remove("SSH_CONNECTION"), "").expect_success(bin);
        let noted = std::fs::read_to_string(path("asked")).expect("what it was asked");
        assert_eq!(noted.lines().count(), asked, "{noted}");
        let last = noted.lines().last().unwrap_or_default();
        assert!(last.contains("--collect") && last.contains("--unit=fwc-rollback-1-"), "{last}");
        assert!(last.ends_with(&format!("--netns {}", namespace.name())), "{last}");
        eventually("the end of the trial", || namespace.ruleset().is_empty());
        std::fs::remove_dir(folder.path().join("keep")).expect("the folder is free");
    }
}
