//! At boot, and at the end: the systemd unit, what `make install` puts where, and how fwc goes without a trace.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use support::guard::Guard;
use support::tools::{Ran, command, require, run, start};
use support::turn::{BUCKETS, Turn};
use support::{Namespace, Spec, fwc, try_apply};

const UNIT: &str = "packaging/fwc.service";

fn unit() -> String {
    fs::read_to_string(UNIT).expect("the unit")
}

/// The values of a key of the unit, in one list.
fn values(key: &str) -> Vec<String> {
    let unit = unit();
    let lines = unit.lines().filter_map(|line| line.strip_prefix(&format!("{key}=")));
    lines.flat_map(str::split_whitespace).map(str::to_owned).collect()
}

#[test]
fn the_unit_is_hardened() {
    require(&["systemd-analyze"]);
    // Tenths: 20 is an exposure of 2.0.
    let words = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", UNIT];
    run(&mut command(words), "").expect_success("systemd-analyze security");
}

#[test]
fn the_unit_comes_before_the_network_and_after_who_flushes() {
    assert!(values("Before").contains(&"network-pre.target".to_owned()));
    assert!(values("Wants").contains(&"network-pre.target".to_owned()));
    for early in ["nftables.service", "systemd-modules-load.service", "systemd-sysctl.service"] {
        assert!(values("After").contains(&early.to_owned()), "{early}");
    }
    assert_eq!(values("ConditionPathExistsGlob"), ["/etc/fwc/*.yaml"]);
    assert_eq!(values("ExecStart"), ["/usr/local/bin/fwc", "apply", "--confirmed", "/etc/fwc"]);
    assert_eq!(values("ExecReload"), values("ExecStart"));
    // A firewall does not open because a unit stops.
    assert_eq!((values("ExecStop"), values("ExecStopPost")), (Vec::new(), Vec::new()));
    assert_eq!(values("StateDirectory"), ["fwc"]);
    require(&["systemd-analyze"]);
    // It complains about fwc, which is not installed here, and must not complain about anything else.
    let ran = run(&mut command(["systemd-analyze", "verify", "--man=no", UNIT]), "");
    let others: Vec<&str> = ran
        .stderr
        .lines()
        .filter(|line| line.contains("fwc.service") && !line.contains("/usr/local/bin/fwc"))
        .collect();
    assert!(others.is_empty(), "{ran}");
}

/// What the modules-load.d file stands on: systemd reads sysctl.d once the modules are loaded.
#[test]
fn systemd_loads_modules_before_it_reads_sysctls() {
    require(&["systemd-analyze"]);
    let found = ["/usr/lib/systemd/system", "/lib/systemd/system"]
        .map(|folder| Path::new(folder).join("systemd-sysctl.service"));
    let text = found.iter().find_map(|path| fs::read_to_string(path).ok()).expect("systemd-sysctl.service");
    let after: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("After=")).flat_map(str::split_whitespace).collect();
    assert!(after.contains(&"systemd-modules-load.service"), "{after:?}");
}

/// systemd's own reader of sysctl.d takes the file, once the keys exist. The machine-wide ones are refused in a namespace, so they are left out.
#[test]
fn systemd_takes_the_sysctl_file() {
    let reader = ["/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    let reader = reader.expect("systemd-sysctl, of the Debian package systemd");
    let namespace = Namespace::new("sysctl");
    let spec = Spec::new(
        "services: {ssh: {listen: \"*:22\"}}\nconntrack: {timeouts: {udp: 21s, tcp_time_wait: 31s, gre_stream: 41s}}\n",
    );
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("90-fwc-conntrack.conf").display().to_string();
    fwc(&["compile", &spec.path(), "-t", "sysctl", "-o", &file]).expect_success("fwc compile");
    namespace.ok([reader, &file]);
    let value =
        |name: &str| fs::read_to_string(format!("/proc/sys/net/netfilter/nf_conntrack_{name}")).expect("a sysctl");
    let values = namespace.enter(|| ["udp_timeout", "tcp_timeout_time_wait", "gre_timeout_stream"].map(value));
    assert_eq!(values.map(|value| value.trim().to_owned()), ["21", "31", "41"]);
}

/// Ends the process that holds the namespaces, and removes the control groups that systemd made once they are empty.
const END_OF_SYSTEMD: &str = r#"
kill -9 "$1"
exec unshare --mount sh -c '
    mount -t cgroup2 cgroup2 /mnt || exit 1
    for try in $(seq 500); do
        [ -e "/mnt/$1" ] || exit 0
        find "/mnt/$1" -depth -type d -exec rmdir {} + 2>/dev/null && exit 0
        sleep 0.01
    done
    exit 1
' sh "$2"
"#;

/// Boots systemd with the unit, as far as it goes in namespaces, runs `driver` and gives what it printed.
fn boot(spec: &str, driver: &str) -> String {
    let _turn = Turn::shared();
    require(&["unshare", "systemd-analyze", "nft"]);
    let folder = tempfile::tempdir().expect("a directory");
    let out = folder.path();
    fs::write(out.join("spec.yaml"), spec).expect("a spec");
    fs::write(out.join("driver.sh"), format!("{driver}\necho END\n")).expect("a driver");
    // The mounts of the unit must leave what fwc writes writable: the buckets too, which a namespace can open and not set.
    let unit = unit().replace("\nExecStart=", &format!("\nExecStartPre=/usr/bin/test -w {BUCKETS}\nExecStart="));
    fs::write(out.join("fwc.service"), unit).expect("a unit");
    // Tests run side by side in one process.
    static BOOTS: AtomicU32 = AtomicU32::new(0);
    let group = format!("fwc-test-{}-{}", std::process::id(), BOOTS.fetch_add(1, Ordering::Relaxed));
    let paths = [Path::new(env!("CARGO_BIN_EXE_fwc")), &out.join("fwc.service"), out, Path::new(&group)];
    let paths = paths.map(|path| path.display().to_string());
    let namespaces = ["--kill-child", "--pid", "--fork", "--mount", "--net", "--uts", "--ipc"];
    let words =
        [&["unshare"][..], &namespaces, &["sh", "tests/boot/systemd.sh"], &paths.each_ref().map(String::as_str)]
            .concat();
    let mut started = start(&mut command(words), "");
    // systemd goes on for ever; its namespaces go with it, also when this test does.
    let _guard = Guard::new(END_OF_SYSTEMD, &[&started.child.id().to_string(), &group]);
    let log = || fs::read_to_string(out.join("log")).unwrap_or_default();
    let patience = Instant::now();
    while !log().ends_with("END\n") {
        if let Ok(Some(status)) = started.child.try_wait() {
            panic!("systemd ended: {}\n{}", started.collect(status), log());
        }
        assert!(patience.elapsed() < Duration::from_secs(120), "systemd did not come so far:\n{}", log());
        std::thread::sleep(Duration::from_millis(50));
    }
    log()
}

#[test]
fn the_unit_loads_the_spec_keeps_it_and_heals_it_under_systemd() {
    // Each line of the log says what was done, and what the tables are then.
    let driver = r#"
tables() { echo "$1:" $(nft list tables | cut -d' ' -f3 | sort); }
settled() { while systemctl list-jobs --no-legend | grep -q fwc.service; do sleep 0.05; done; }
tables boot
echo "timeout: $(cat /proc/sys/net/netfilter/nf_conntrack_udp_timeout)"
echo "state: $(stat -c '%a %U' /var/lib/fwc)"
systemctl restart nftables.service; settled; tables restart
systemctl reload nftables.service; settled; tables reload
systemctl stop fwc.service; tables stop
systemctl start fwc.service; nft flush ruleset; tables flush
fwc status >/dev/null; echo "drift: $?"
systemctl reload fwc.service; tables heal
fwc status >/dev/null; echo "healed: $?"
# What others could change is not read: the copy of what was confirmed is loaded.
chmod 666 /etc/fwc/spec.yaml; systemctl restart fwc.service 2>/dev/null; echo "writable: $?"; tables kept
chmod 644 /etc/fwc/spec.yaml; systemctl restart fwc.service; echo "repaired: $?"
systemctl stop fwc.service; fwc remove >/dev/null; rm /etc/fwc/spec.yaml; systemctl start fwc.service; echo "no spec: $?"; tables nothing
"#;
    let spec = "services:\n  web: {listen: \"*:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\nconntrack: {timeouts: {udp: 33s}}\n";
    let log = boot(spec, driver);
    let expected = "boot: fwc theirs\ntimeout: 33\nstate: 700 root\nrestart: fwc theirs\nreload: fwc theirs\nstop: fwc theirs\nflush:\ndrift: 1\n\
                    heal: fwc\nhealed: 0\nwritable: 0\nkept: fwc\nrepaired: 0\nno spec: 0\nnothing:\nEND\n";
    assert_eq!(log, expected);
}

/// The real systemd-run, and what a login session is to systemd: a control group that is killed as a whole.
#[test]
fn under_systemd_a_trial_outlives_the_session_that_began_it() {
    let driver = r#"
watchdogs() { systemctl list-units --no-legend 'fwc-rollback-*' | wc -l; }
port() { nft list ruleset | grep -o '8080\|9090' | sort -u; }
sed s/8080/9090/ /etc/fwc/spec.yaml >/root/trial.yaml
echo "before: $(port), $(watchdogs)"
systemd-run --quiet --unit=session --property=DefaultDependencies=no sh -c 'fwc apply --confirm-within 5s /root/trial.yaml >/out/applied 2>&1; sleep 1000'
until grep -qs 'NOT CONFIRMED' /out/applied; do sleep 0.05; done
echo "on trial: $(port), $(watchdogs)"
systemctl kill --signal=KILL session
while systemctl is-active --quiet session; do sleep 0.05; done
echo "session gone: $(port), $(watchdogs)"
while [ "$(watchdogs)" != 0 ]; do sleep 0.05; done
fwc status >/dev/null; echo "time over: $(port), $?, $(grep -c 'rolled back: nobody confirmed in time' /var/lib/fwc/log)"
fwc apply --confirm-within 10m /root/trial.yaml >/dev/null; systemctl stop 'fwc-rollback-*'
echo "told to stop: $(port), $(watchdogs)"
fwc apply --confirm-within 10m /root/trial.yaml >/dev/null; fwc confirm >/dev/null
while [ "$(watchdogs)" != 0 ]; do sleep 0.05; done
echo "confirmed: $(port)"
"#;
    let log = boot("services:\n  web: {listen: \"*:8080\", stateless: true}\n  ssh: {listen: \"*:22\"}\n", driver);
    let expected = "before: 8080, 0\non trial: 9090, 1\nsession gone: 9090, 1\ntime over: 8080, 0, 1\ntold to stop: 8080, 0\n\
                    confirmed: 9090\nEND\n";
    assert_eq!(log, expected);
}

#[test]
fn a_flush_by_somebody_else_is_seen_and_an_apply_heals_it() {
    let namespace = Namespace::new("flush");
    let spec = Spec::new("services:\n  web: {listen: \"*:80\", stateless: true}\n  ssh: {listen: \"*:22\"}\n");
    try_apply(&namespace, &spec, &[]).expect_success("fwc apply");
    let loaded = namespace.ruleset();
    assert_eq!(namespace.fwc(&["status"]).status, 0);
    namespace.ok(["nft", "flush", "ruleset"]);
    let status = namespace.fwc(&["status"]);
    assert!(status.status == 1 && status.stdout.starts_with("table inet fwc: not loaded"), "{status}");
    try_apply(&namespace, &spec, &[]).expect_success("fwc apply");
    assert_eq!((namespace.ruleset(), namespace.fwc(&["status"]).status), (loaded, 0));
}

/// All files below a folder, relative to it.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for path in fs::read_dir(&next).expect("a folder").map(|entry| entry.expect("an entry").path()) {
            if path.is_dir() {
                left.push(path);
            } else {
                found.insert(path.strip_prefix(folder).expect("below").to_path_buf());
            }
        }
    }
    found
}

/// `make` with the tested binary in the place of the released one.
fn make(target: &str, destination: &Path, more: &[&str]) -> Ran {
    require(&["make"]);
    let binary = Path::new(env!("CARGO_BIN_EXE_fwc")).parent().expect("a folder");
    let variables = [format!("RELEASE={}", binary.display()), format!("DESTDIR={}", destination.display())];
    let words = [&["make", target][..], &variables.each_ref().map(String::as_str), more].concat();
    run(command(words).env_remove("MAKEFLAGS").env_remove("PREFIX"), "")
}

#[test]
fn make_install_puts_all_in_place_and_uninstall_takes_it_away() {
    for (more, prefix) in [(&[][..], "usr/local"), (&["PREFIX=/usr"][..], "usr")] {
        let folder = tempfile::tempdir().expect("a directory");
        make("install", folder.path(), more).expect_success("make install");
        let at = |name: &str| folder.path().join(prefix).join(name);
        for name in [
            "bin/fwc",
            "lib/systemd/system/fwc.service",
            "share/fwc/fwc.schema.json",
            "share/doc/fwc/FILES.md",
            "share/doc/fwc/examples/web.yaml",
            "share/man/man1/fwc.1",
            "share/man/man1/fwc-apply.1",
            "share/bash-completion/completions/fwc",
            "share/zsh/site-functions/_fwc",
            "share/fish/vendor_completions.d/fwc.fish",
        ] {
            assert!(at(name).is_file(), "{name} is missing in {:?}", files(folder.path()));
        }
        let unit = fs::read_to_string(at("lib/systemd/system/fwc.service")).expect("the unit");
        assert!(unit.contains(&format!("\nExecStart=/{prefix}/bin/fwc apply --confirmed /etc/fwc\n")), "{unit}");
        // What the administrator has is not touched.
        for name in ["etc/fwc/web.yaml", "var/lib/fwc/state"] {
            fs::create_dir_all(folder.path().join(name).parent().expect("a folder")).expect("folders");
            fs::write(folder.path().join(name), "").expect("a file");
        }
        make("uninstall", folder.path(), more).expect_success("make uninstall");
        let left: Vec<String> = files(folder.path()).iter().map(|path| path.display().to_string()).collect();
        assert_eq!(left, ["etc/fwc/web.yaml", "var/lib/fwc/state"]);
    }
}

/// The page that says what is where names everything that is there.
#[test]
fn the_page_of_files_names_them_all() {
    let page = fs::read_to_string("packaging/FILES.md").expect("the page");
    let folder = tempfile::tempdir().expect("a directory");
    make("install", folder.path(), &[]).expect_success("make install");
    for path in files(folder.path()) {
        let path = format!("/{}", path.display());
        // Folders of many files of a kind are named as folders.
        let named = page.contains(&path)
            || Path::new(&path).ancestors().skip(1).any(|above| page.contains(&format!("`{}/", above.display())));
        assert!(named, "{path} is not in packaging/FILES.md");
    }
    let manual = fwc(&["man"]).expect_success("fwc man");
    let section = manual.split(".SH FILES").nth(1).expect("a section FILES");
    let listed: Vec<String> = section
        .lines()
        .filter_map(|line| line.strip_prefix("\\fB"))
        .map(|line| line.replace("\\fR", "").replace("\\-", "-").replace("\\.", "."))
        .collect();
    assert!(listed.len() >= 5, "{section}");
    for file in listed {
        assert!(page.contains(&file), "{file} of fwc(1) is not in packaging/FILES.md");
    }
}

#[test]
fn remove_leaves_no_trace_in_the_kernel() {
    let namespace = Namespace::new("trace");
    namespace.write_nft("table inet theirs { chain c { type filter hook input priority 5; counter; }; }");
    let before = namespace.ruleset();
    let spec = Spec::new("services: {web: {listen: \"*:80\", stateless: true}, ssh: {listen: \"*:22\"}}\n");
    try_apply(&namespace, &spec, &[]).expect_success("fwc apply");
    namespace.fwc(&["remove"]).expect_success("fwc remove");
    assert_eq!(namespace.ruleset(), before);
    let processes = run(&mut command(["ip", "netns", "pids", namespace.name()]), "").expect_success("ip netns pids");
    assert_eq!(processes, "", "a process is left");
}

#[test]
fn every_command_has_a_page_and_every_shell_a_script() {
    let folder = tempfile::tempdir().expect("a directory");
    let to = format!("{}/", folder.path().join("new").display());
    fwc(&["man", "-o", &to]).expect_success("fwc man");
    let help = fwc(&["help"]).expect_success("fwc help");
    // What is too long for a line goes on further in.
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| !line.starts_with("   "));
    let commands: Vec<&str> =
        commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(commands.len() > 10, "{help}");
    for name in &commands {
        let page = fs::read_to_string(folder.path().join(format!("new/fwc-{name}.1"))).expect("a page");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{page}");
        assert_eq!(page, fwc(&["man", name]).expect_success("fwc man"));
    }
    let page = fwc(&["man"]).expect_success("fwc man");
    for section in ["EXIT STATUS", "ENVIRONMENT", "FILES"] {
        assert!(page.contains(section), "{section}");
    }
    assert_eq!(page, fs::read_to_string(folder.path().join("new/fwc.1")).expect("a page"));
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(fwc(&["completions", shell]).expect_success(shell).contains("fwc"));
    }
    let ran = fwc(&["man", "frobnicate"]);
    assert!(ran.status == 2 && ran.stderr.contains("there is no command `frobnicate`"), "{ran}");
    assert_eq!(fwc(&["completions", "tcl"]).status, 2);
}
