//! The `conntrack` section on a live host: what is set where, what is said about the rest, and that it is put back.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use fwc::kernel::sizing::{self, Setting};
use fwc::spec::Timeout;
use serde_json::Value;
use support::turn::{BUCKETS, ConntrackMax, LIMIT, conntrack_max};
use support::{Namespace, Ran, Spec, compile, try_apply};

const TRACKED: &str = "services: {ssh: {listen: \"*:22\"}}\n";
const SYSCTLS: &str = "/proc/sys/net/netfilter";

/// A tracked service, and this `conntrack` section.
fn sized(section: &str) -> Spec {
    Spec::new(&format!("{TRACKED}conntrack: {section}\n"))
}

fn settings(section: &str) -> Vec<Setting> {
    sizing::settings(&compile(&format!("{TRACKED}conntrack: {section}\n")).policy.sizing)
}

#[track_caller]
fn document(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in\n{text}"))
}

/// The codes of the diagnostics, and the first one's message and help.
#[track_caller]
fn told(ran: &Ran) -> (Vec<String>, String) {
    if ran.stderr.is_empty() {
        return (Vec::new(), String::new());
    }
    let document = document(&ran.stderr);
    let found = document["diagnostics"].as_array().expect("diagnostics");
    let code = |one: &Value| one["code"].as_str().expect("a code").to_owned();
    (found.iter().map(code).collect(), format!("{}\n{}", found[0]["message"], found[0]["help"]))
}

/// What an apply says that it set: key, former value, value.
#[track_caller]
fn changes(ran: &Ran) -> Vec<(String, String, String)> {
    let document = document(&ran.stdout);
    let word = |change: &Value, key: &str| change[key].as_str().expect("text").to_owned();
    let list = document["sizing"].as_array().expect("a list");
    list.iter().map(|change| (word(change, "key"), word(change, "from"), word(change, "to"))).collect()
}

/// What the conntrack sysctls hold in the namespace of the thread.
fn sysctls() -> BTreeMap<PathBuf, String> {
    let entries = fs::read_dir(SYSCTLS).expect("sysctls").map(|entry| entry.expect("an entry").path());
    let ours =
        entries.filter(|path| path.to_string_lossy().contains("nf_conntrack") && !path.ends_with("nf_conntrack_count"));
    ours.filter_map(|path| fs::read_to_string(&path).ok().map(|text| (path, text.trim().to_owned()))).collect()
}

/// Timeouts belong to the namespace, so a plan tells them there, and nothing once they are set.
#[test]
fn a_plan_tells_sizes_and_what_they_were() {
    let namespace = Namespace::new("planned");
    let old = sized("{timeouts: {udp: 41s}}");
    try_apply(&namespace, &old, &[]).expect_success("fwc apply");
    let new = sized("{timeouts: {udp: 42s}}");
    let plan = |spec: &Spec| namespace.fwc(&["plan", &spec.path(), "--detailed-exitcode"]);
    let told = plan(&new);
    assert_eq!(told.status, 2, "{told}");
    assert!(
        told.stdout.starts_with("table inet fwc: as the spec says\n  ~ conntrack.timeouts.udp: 41 -> 42\n"),
        "{told}"
    );
    let json = document(&namespace.fwc(&["plan", &new.path(), "--format", "json"]).stdout);
    assert_eq!((json["same"].clone(), json["sizing"][0]["from"].clone()), (false.into(), "41".into()));
    assert_eq!(plan(&old).status, 0);
}

#[test]
fn every_timeout_of_the_kernel_is_set_and_only_in_the_namespace() {
    let namespace = Namespace::new("timeouts");
    let outside = sysctls();
    let before = namespace.enter(sysctls);
    let path = |key: &str| Path::new(SYSCTLS).join(Timeout::named(key).expect("a timeout").sysctl());
    let (known, unknown): (Vec<&str>, Vec<&str>) = Timeout::ALL.into_iter().partition(|key| path(key).exists());
    assert!(known.len() >= 22, "{known:?}");
    let list: Vec<String> = Timeout::ALL.iter().zip(1001..).map(|(key, value)| format!("{key}: {value}s")).collect();
    let spec = sized(&format!("{{timeouts: {{{}}}}}", list.join(", ")));

    // Not yet, by a dry run.
    let ran = try_apply(&namespace, &spec, &["--format", "json", "--dry-run"]);
    assert_eq!((ran.status, changes(&ran).len()), (0, known.len()), "{ran}");
    assert_eq!(namespace.enter(sysctls), before);

    let ran = try_apply(&namespace, &spec, &["--format", "json"]);
    assert_eq!(ran.status, 0, "{ran}");
    // Some kernels lack DCCP, and are told so.
    let expected = if unknown.is_empty() { Vec::new() } else { vec!["FWC433".to_owned()] };
    assert_eq!(told(&ran).0, expected);
    assert!(unknown.iter().all(|key| told(&ran).1.contains(&format!("`conntrack.timeouts.{key}`"))), "{ran}");
    let mut after = before.clone();
    for (key, value) in Timeout::ALL.iter().zip(1001..).filter(|(key, _)| known.contains(key)) {
        let former = after.insert(path(key), value.to_string()).expect("a former value");
        let told = (format!("timeouts.{key}"), former, value.to_string());
        assert!(changes(&ran).contains(&told), "{told:?} in {ran}");
    }
    assert_eq!(namespace.enter(sysctls), after);
    assert_eq!(sysctls(), outside, "the machine's own values changed");

    // What is set already is neither written nor told again.
    let again = try_apply(&namespace, &spec, &["--format", "json"]);
    assert_eq!(changes(&again), [], "{again}");
    let human = try_apply(&namespace, &sized("{timeouts: {udp: 77s}}"), &[]).expect_success("fwc apply");
    assert!(human.contains("\n  conntrack.timeouts.udp: set to 77, was "), "{human}");
}

#[test]
fn what_is_machine_wide_is_not_set_in_a_namespace_and_said() {
    let namespace = Namespace::new("wide");
    let before = (conntrack_max(), fs::read_to_string(BUCKETS).expect("the buckets"));
    let (max, buckets) = (before.0 + 4096, before.1.trim().parse::<u32>().expect("buckets") + 4096);
    let spec = sized(&format!("{{max: {max}, buckets: {buckets}, timeouts: {{udp: 44s}}}}"));
    let ran = try_apply(&namespace, &spec, &["--format", "json"]);
    let (codes, said) = told(&ran);
    assert_eq!((ran.status, codes), (0, vec!["FWC430".to_owned()]), "{ran}");
    for words in [
        "`conntrack.buckets` and `conntrack.max` cannot be set from this network namespace",
        "timeouts belong to the namespace, `max` and `buckets` to the whole machine",
        &format!("`echo {max} > {LIMIT}`"),
        &format!("`echo {buckets} > {BUCKETS}`"),
    ] {
        assert!(said.contains(words), "{words} is not in {said}");
    }
    assert_eq!(changes(&ran).len(), 1, "{ran}");
    let udp = || fs::read_to_string(format!("{SYSCTLS}/nf_conntrack_udp_timeout")).expect("a sysctl");
    assert_eq!(namespace.enter(udp).trim(), "44");
    assert!(namespace.ruleset().contains("table inet fwc"));
    assert_eq!((conntrack_max(), fs::read_to_string(BUCKETS).expect("the buckets")), before);
    // Nothing to say where the machine has what the spec wants.
    let same = sized(&format!("{{max: {}, buckets: {}}}", before.0, before.1.trim()));
    assert_eq!(told(&try_apply(&namespace, &same, &["--format", "json"])).0, Vec::<String>::new());
}

#[test]
fn the_sizes_of_the_machine_are_written_and_put_back() {
    let _turn = ConntrackMax::own();
    let now = |path: &str| fs::read_to_string(path).expect("a value").trim().parse::<u32>().expect("a number");
    let before = (now(LIMIT), now(BUCKETS));
    // Two more, which the kernel rounds up to a page of buckets.
    let (max, buckets) = (before.0 + 1000, before.1 + 2);
    let wanted = settings(&format!("{{max: {max}, buckets: {buckets}}}"));
    assert_eq!(sizing::machine_wide_writable(), Ok(()));
    let former = sizing::write(&wanted).expect("the sizes");
    let kept: Vec<(&str, &str)> =
        former.iter().map(|(path, text)| (path.to_str().expect("a path"), text.as_str())).collect();
    assert_eq!(kept, [(LIMIT, &*before.0.to_string()), (BUCKETS, &*before.1.to_string())]);
    assert_eq!(now(LIMIT), max);
    assert!(now(BUCKETS) >= buckets && now(BUCKETS) < buckets + 8192, "{} buckets", now(BUCKETS));
    // The rounded figure meets what was asked for.
    assert_eq!(sizing::write(&wanted).expect("the same again"), sizing::Former::new());
    sizing::restore(&former).expect("the former sizes");
    assert_eq!((now(LIMIT), now(BUCKETS)), before);
}

/// A `fwc apply` that finds files of the test in the place of the kernel's: what they hold, after a first line of the script that made them.
///
/// The mounts are in a mount namespace of the command's own, and the network namespace decides about everything else.
fn with_files(namespace: &Namespace, script: &str, spec: &Spec, more: &str) -> (Ran, BTreeMap<String, String>) {
    support::require(&["unshare"]);
    let folder = tempfile::tempdir().expect("a directory");
    let to = folder.path().display();
    let run = format!(
        "set -e\nmount -t tmpfs tmpfs {SYSCTLS}\ncd {SYSCTLS}\n{script}\nset +e\n\"$1\" apply \"$2\" --format json {more}\nended=$?\n\
         for file in *; do [ ! -e $file ] || cat $file >{to}/$file; done\n[ ! -e {BUCKETS} ] || cat {BUCKETS} >{to}/buckets\nexit $ended"
    );
    let path = spec.path();
    let state = format!("FWC_STATE_DIR={}", namespace.state_dir().display());
    let words = ["env", &state, "unshare", "--mount", "sh", "-c", &run, "sh", env!("CARGO_BIN_EXE_fwc"), &path];
    let ran = namespace.run(words);
    let entries =
        fs::read_dir(folder.path()).expect("what the files held").map(|entry| entry.expect("an entry").path());
    let held = entries.map(|path| {
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        (name, fs::read_to_string(&path).expect("a text").trim().to_owned())
    });
    (ran, held.collect())
}

/// The files of a machine with this limit, buckets and entries, all of them writable as on the machine itself.
fn machine(max: u64, buckets: u64, count: u64) -> String {
    format!(
        "echo {max} >nf_conntrack_max; echo {buckets} >nf_conntrack_buckets; echo {count} >nf_conntrack_count; echo 30 >nf_conntrack_udp_timeout
mount -t tmpfs tmpfs {}; echo {buckets} >{BUCKETS}",
        Path::new(BUCKETS).parent().expect("a directory").display()
    )
}

#[test]
fn apply_sets_all_sizes_of_the_machine() {
    let namespace = Namespace::new("machine");
    let spec = sized("{max: 524288, buckets: 131072, timeouts: {udp: 20s}}");
    let (ran, held) = with_files(&namespace, &machine(262_144, 65_536, 7), &spec, "");
    assert_eq!((ran.status, told(&ran).0.len()), (0, 0), "{ran}");
    let told = changes(&ran);
    let told: Vec<(&str, &str, &str)> = told.iter().map(|(key, from, to)| (&**key, &**from, &**to)).collect();
    let expected = [("buckets", "65536", "131072"), ("max", "262144", "524288"), ("timeouts.udp", "30", "20")];
    assert_eq!(told, expected);
    let held = |name: &str| held[name].as_str();
    assert_eq!(
        (held("nf_conntrack_max"), held("buckets"), held("nf_conntrack_udp_timeout")),
        ("524288", "131072", "20")
    );
}

#[test]
fn a_table_that_does_not_fit_into_memory_is_refused() {
    let namespace = Namespace::new("memory");
    let memory = fwc::kernel::host::memory().expect("the memory");
    let before = machine(65_536, 65_536, 0);
    let of_memory = |share: u64| memory / share / 328;
    let sized = |entries: u64| sized(&format!("{{max: {entries}, buckets: {entries}}}"));

    let (ran, held) = with_files(&namespace, &before, &sized(of_memory(2) + 1000), "");
    assert_eq!((ran.status, told(&ran).0), (1, vec!["FWC431".to_owned()]), "{ran}");
    assert_eq!((held["nf_conntrack_max"].as_str(), held["buckets"].as_str()), ("65536", "65536"));
    assert_eq!(namespace.ruleset(), "");
    // Somebody who knows better.
    let (ran, held) = with_files(&namespace, &before, &sized(of_memory(2) + 1000), "--force FWC431");
    assert_eq!((ran.status, held["nf_conntrack_max"].clone()), (0, (of_memory(2) + 1000).to_string()), "{ran}");

    let (ran, held) = with_files(&namespace, &before, &sized(of_memory(3)), "");
    assert_eq!((ran.status, told(&ran).0), (0, vec!["FWC432".to_owned()]), "{ran}");
    assert_eq!(held["nf_conntrack_max"], of_memory(3).to_string());
    let (ran, _) = with_files(&namespace, &before, &sized(of_memory(5)), "");
    assert_eq!((ran.status, told(&ran).0.len()), (0, 0), "{ran}");
    // A large table that shrinks is no worse than it was.
    let large = machine(of_memory(1), of_memory(1), 0);
    let (ran, _) = with_files(&namespace, &large, &sized(of_memory(2) + 1000), "");
    assert_eq!((ran.status, told(&ran).0.len()), (0, 0), "{ran}");
}

#[test]
fn a_limit_below_what_the_table_holds_is_said() {
    let namespace = Namespace::new("below");
    let (ran, held) = with_files(&namespace, &machine(262_144, 65_536, 5000), &sized("{max: 4096}"), "");
    assert_eq!((ran.status, told(&ran).0), (0, vec!["FWC435".to_owned()]), "{ran}");
    assert!(told(&ran).1.contains("holds 5000 entries, and `conntrack.max` allows 4096"), "{ran}");
    assert_eq!(held["nf_conntrack_max"], "4096");
}

#[test]
fn without_the_module_there_is_nothing_to_set() {
    let namespace = Namespace::new("module");
    let no_module = format!("mount -t tmpfs tmpfs {}", Path::new(BUCKETS).parent().expect("a directory").display());
    for text in [TRACKED, "policy: {output: drop}\nservices: {web: {listen: \"*:80\", stateless: true}}\n"] {
        let spec = Spec::new(&format!("{text}conntrack: {{max: 4096, timeouts: {{udp: 5s}}}}\n"));
        let (ran, held) = with_files(&namespace, &no_module, &spec, "");
        assert_eq!((ran.status, told(&ran).0), (0, vec!["FWC433".to_owned()]), "{ran}");
        assert!(told(&ran).1.contains("nf_conntrack is not loaded"), "{ran}");
        assert_eq!((changes(&ran), held.len()), (Vec::new(), 0), "{ran}");
    }
}

#[test]
fn what_cannot_be_written_is_said_and_the_rules_are_loaded() {
    let namespace = Namespace::new("readonly");
    let script = format!("{}\nmount -o remount,ro {SYSCTLS}", machine(262_144, 65_536, 0));
    let spec = sized("{max: 4096, buckets: 4096, timeouts: {udp: 5s}}");
    let (ran, held) = with_files(&namespace, &script, &spec, "");
    let (codes, said) = told(&ran);
    assert_eq!((ran.status, codes), (0, vec!["FWC430".to_owned()]), "{ran}");
    assert!(said.contains("Read-only file system") && said.contains("`conntrack.timeouts.udp`"), "{said}");
    assert_eq!((held["nf_conntrack_max"].as_str(), held["buckets"].as_str()), ("262144", "65536"));
    assert!(namespace.ruleset().contains("table inet fwc"));
}

#[test]
fn a_value_that_is_refused_puts_back_those_before_it_and_loads_nothing() {
    let namespace = Namespace::new("refused");
    // A file that takes numbers up to 255 only.
    let script =
        format!("{}\nln -sf /proc/sys/net/ipv4/ip_default_ttl nf_conntrack_udp_timeout", machine(262_144, 65_536, 0));
    let spec = sized("{max: 4096, buckets: 4096, timeouts: {udp: 1000s}}");
    let (ran, held) = with_files(&namespace, &script, &spec, "");
    let (codes, said) = told(&ran);
    assert_eq!((ran.status, codes), (3, vec!["FWC434".to_owned()]), "{ran}");
    assert!(said.contains("`conntrack.timeouts.udp`: 1000 cannot be written to"), "{said}");
    assert_eq!((held["nf_conntrack_max"].as_str(), held["buckets"].as_str()), ("262144", "65536"));
    assert_eq!(namespace.ruleset(), "");
}
