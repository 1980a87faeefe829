//! `fwc compile`: artifacts, printed or written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::support::{Namespace, Spec, fwc};
use super::{WEB, WRONG, ended, json};

const TARGETS: [&str; 7] = ["nft", "iptables", "ip6tables", "ipset", "sysctl", "modprobe", "modules-load"];

const SIZED: &str = "conntrack:\n  max: 855360\n  buckets: 427680\n  timeouts: {tcp_established: 1000s, udp: 20s, icmpv6: 5s, generic: 1h}\n";

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .collect();
    names.sort();
    names
}

#[test]
fn the_same_spec_gives_the_same_bytes_wherever_it_lies() {
    let text = fs::read_to_string("examples/mixed.yaml").expect("an example") + SIZED;
    let (here, there) = (Spec::new(&text), Spec::new(&text));
    for target in TARGETS {
        let first = fwc(&["compile", &here.path(), "--target", target]).expect_success(target);
        assert!(!first.is_empty());
        assert_eq!(first, fwc(&["compile", &here.path(), "--target", target]).expect_success(target), "{target}");
        assert_eq!(first, fwc(&["compile", &there.path(), "--target", target]).expect_success(target), "{target}");
        let hash = first.lines().any(|line| line.contains("spec") && line.contains("sha256"));
        assert!(hash || target == "nft" || target == "ipset", "{target} does not say which spec it is of:\n{first}");
    }
}

#[test]
fn nft_loads_the_text_once_and_again() {
    let namespace = Namespace::new("text");
    for example in ["web", "mixed", "router", "nat", "dns", "blocklist"] {
        let text = fwc(&["compile", &format!("examples/{example}.yaml"), "-t", "nft"]).expect_success(example);
        // Loading replaces what an earlier load left.
        namespace.write_nft(&text);
        let once = namespace.ruleset();
        namespace.write_nft(&text);
        assert_eq!(once, namespace.ruleset(), "{example}");
        // nft writes some rules in its own way, and fwc knows them all the same.
        let status = ended(namespace.fwc(&["status"]), 0);
        assert!(status.stdout.contains("as it was applied"), "{status}");
    }
}

#[test]
fn the_sysctl_file_sets_what_the_spec_says() {
    let spec = Spec::new(SIZED);
    let text = fwc(&["compile", &spec.path(), "-t", "sysctl"]).expect_success("fwc compile");
    let settings: Vec<(&str, &str)> =
        text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(" = ")).collect();
    let setting = |key: &str| settings.iter().find(|(name, _)| *name == format!("net.netfilter.{key}")).map(|s| s.1);
    assert_eq!(setting("nf_conntrack_max"), Some("855360"));
    assert_eq!(setting("nf_conntrack_buckets"), Some("427680"));
    assert_eq!(setting("nf_conntrack_tcp_timeout_established"), Some("1000"));
    assert_eq!(setting("nf_conntrack_generic_timeout"), Some("3600"));
    assert_eq!(settings.len(), 6, "{text}");
    // The kernel has each of these, and takes the timeouts, which belong to a namespace.
    let namespace = Namespace::new("sysctl");
    namespace.write_nft("table ip t { chain c { type filter hook input priority 0; ct state new accept; }; }");
    for (name, value) in settings {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        namespace.enter(|| {
            assert!(fs::exists(&path).unwrap_or(false), "the kernel has no {path}");
            if name.contains("timeout") {
                fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}"));
                assert_eq!(fs::read_to_string(&path).expect("a sysctl").trim(), value);
            }
        });
    }
}

#[test]
fn the_modprobe_file_sets_the_hash_size() {
    let text = fwc(&["compile", &Spec::new(SIZED).path(), "-t", "modprobe"]).expect_success("fwc compile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["options nf_conntrack hashsize=427680"]);
    let text = fwc(&["compile", &Spec::new(SIZED).path(), "-t", "modules-load"]).expect_success("fwc compile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(lines, ["nf_conntrack"]);
    // Nothing to set is a file that sets nothing, so that a script can go on.
    for target in ["sysctl", "modprobe", "modules-load"] {
        let text = fwc(&["compile", &Spec::new(WEB).path(), "-t", target]).expect_success(target);
        assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    }
}

#[test]
fn a_file_is_replaced_and_keeps_its_mode() {
    let spec = Spec::new(WEB);
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("rules.v4");
    let words = ["compile", &spec.path(), "-t", "iptables", "-o", file.to_str().expect("text")];
    let mode = || fs::metadata(&file).expect("the file").permissions().mode() & 0o7777;
    let printed = fwc(&words[..4]).expect_success("fwc compile");
    ended(fwc(&words), 0);
    assert_eq!((fs::read_to_string(&file).expect("the file"), mode()), (printed.clone(), 0o644));

    fs::write(&file, "old\n").expect("the file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).expect("a mode");
    // A reader that has the old file open goes on to read the old file.
    let old = fs::File::open(&file).expect("the old file");
    let ran = ended(fwc(&words), 0);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("", ""));
    assert_eq!((fs::read_to_string(&file).expect("the file"), mode()), (printed, 0o640));
    assert_eq!(std::io::read_to_string(old).expect("the old file"), "old\n");
    assert_eq!(names(folder.path()), ["rules.v4"], "something is left over");
}

#[test]
fn a_wrong_spec_and_a_missing_folder_leave_the_old_file() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("fwc.nft");
    fs::write(&file, "old\n").expect("the file");
    let path = file.to_str().expect("text");
    let ran = ended(fwc(&["compile", &Spec::new(WRONG).path(), "-t", "nft", "-o", path]), 1);
    assert_eq!(ran.stdout, "");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "old\n");

    let nowhere = folder.path().join("missing/fwc.nft");
    let ran = ended(fwc(&["compile", &Spec::new(WEB).path(), "-t", "nft", "-o", nowhere.to_str().expect("text")]), 1);
    assert!(ran.stderr.contains("missing/fwc.nft"), "{ran}");
    assert_eq!(names(folder.path()), ["fwc.nft"]);
}

#[test]
fn a_directory_takes_all_artifacts() {
    let folder = tempfile::tempdir().expect("a directory");
    let to = folder.path().join("new");
    let list =
        |ran: &str| ran.lines().map(|path| path.rsplit('/').next().unwrap_or(path).to_owned()).collect::<Vec<_>>();
    let write = |spec: &Spec| {
        let words = ["compile", &spec.path(), "-o", &format!("{}/", to.display())];
        list(&fwc(&words).expect_success("fwc compile"))
    };
    let spec = Spec::new(WEB);
    assert_eq!(write(&spec), ["fwc.nft", "rules.v4", "rules.v6"]);
    for (file, target) in [("fwc.nft", "nft"), ("rules.v4", "iptables"), ("rules.v6", "ip6tables")] {
        let printed = fwc(&["compile", &spec.path(), "-t", target]).expect_success(target);
        assert_eq!(fs::read_to_string(to.join(file)).expect(file), printed);
    }
    let sized = Spec::new(&format!("{WEB}{SIZED}"));
    assert_eq!(
        write(&sized),
        ["fwc.nft", "rules.v4", "rules.v6", "90-fwc-conntrack.conf", "fwc-conntrack.conf", "fwc-modules.conf"]
    );

    let words = ["compile", &sized.path(), "--format", "json", "-o", to.to_str().expect("text")];
    let said = json(&fwc(&words).expect_success("fwc compile"));
    assert_eq!((said["format"].as_str(), said["version"].as_u64()), (Some("fwc-compile"), Some(1)));
    assert_eq!(said["written"].as_array().expect("a list").len(), 6);
}

#[test]
fn a_large_set_goes_to_a_file_for_ipset() {
    let addresses: String = (0..2_000).map(|n| format!("198.{}.{}.1\n", 18 + n / 256, n % 256)).collect();
    let spec =
        Spec::new(&format!("sets: {{bad: {{file: bad.txt}}}}\nblock: [$bad]\n{WEB}")).file("bad.txt", &addresses);
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("rules.v4");
    let ran = ended(fwc(&["compile", &spec.path(), "-t", "iptables", "-o", file.to_str().expect("text")]), 0);
    assert!(ran.stderr.contains("rules.ipset"), "{ran}");
    assert_eq!(names(folder.path()), ["rules.ipset", "rules.v4"]);
    let sets = fs::read_to_string(folder.path().join("rules.ipset")).expect("the sets");
    assert_eq!(sets, fwc(&["compile", &spec.path(), "-t", "ipset"]).expect_success("fwc compile"));
    assert_eq!(sets.lines().filter(|line| line.starts_with("add ") && line.contains("198.")).count(), 2_000);
}

#[test]
fn what_the_spec_was_read_from_is_not_written_over() {
    let sets = "sets: {bad: {file: rules.v4}, worse: {file: out.ipset}}\nblock: [$bad, $worse]\n";
    let large: String = (0..5000).map(|number| format!("10.{}.{}.1\n", number / 250, number % 250)).collect();
    let text = format!("{sets}{WEB}");
    let spec = Spec::new(&text).file("rules.v4", "192.0.2.1\n").file("out.ipset", &large);
    let beside = |name: &str| spec.path().replace("spec.yaml", name);
    std::os::unix::fs::symlink(spec.path(), beside("link")).expect("a link");
    let path = spec.path();
    let (folder, link) = (beside(""), beside("link"));
    let targets = [
        ["--target", "nft", "-o", &path],
        ["--target", "nft", "-o", &link],
        ["--target", "iptables", "-o", &beside("rules.v4")],
        // The file for ipset goes beside that of the rules.
        ["--target", "iptables", "-o", &beside("out.rules")],
        // All artifacts, among them one of the name of a set file.
        ["--target", "nft", "-o", &folder],
    ];
    let before = names(Path::new(&folder));
    for words in targets {
        let ran = ended(fwc(&[&["compile", &path], &words[..]].concat()), 1);
        assert!(ran.stdout.is_empty() && ran.stderr.contains("FWC530"), "{words:?}: {ran}");
        assert_eq!(names(Path::new(&folder)), before, "{words:?}");
        assert_eq!(fs::read_to_string(&path).expect("the spec"), text, "{words:?}");
        assert_eq!(fs::read_to_string(beside("rules.v4")).expect("the set"), "192.0.2.1\n", "{words:?}");
        assert_eq!(fs::read_to_string(beside("out.ipset")).expect("the set"), large, "{words:?}");
    }
    // As one of the files of a directory.
    fs::remove_file(&link).expect("the link");
    let ran = ended(fwc(&["compile", &folder, "--target", "nft", "-o", &beside("more.yaml")]), 1);
    assert!(ran.stderr.contains("FWC530") && !Path::new(&beside("more.yaml")).exists(), "{ran}");
    // Anything else is replaced, as ever.
    fs::write(beside("old.nft"), "old\n").expect("an old file");
    fwc(&["compile", &path, "--target", "nft", "-o", &beside("old.nft")]).expect_success("over another file");
}

#[test]
fn what_an_earlier_spec_left_behind_is_told() {
    let folder = tempfile::tempdir().expect("a directory");
    let out = format!("{}/", folder.path().display());
    let compile = |text: &str| fwc(&["compile", &Spec::new(text).path(), "-o", &out]);
    let tracked = "services: {ssh: {listen: \"*:22\"}}\n";
    let sized = compile(&format!("{tracked}conntrack: {{max: 100000}}\n"));
    assert!(sized.status == 0 && sized.stderr.is_empty(), "{sized}");
    let plain = compile(tracked);
    assert!(plain.status == 0 && plain.stderr.contains("90-fwc-conntrack.conf is from an earlier spec"), "{plain}");
    assert!(!plain.stdout.contains("conntrack"), "{plain}");
}

#[test]
fn rules_are_not_written_where_their_sets_would_be() {
    let folder = tempfile::tempdir().expect("a directory");
    let out = folder.path().join("x.ipset");
    let ran = fwc(&[
        "compile",
        &Spec::new("services: {ssh: {listen: \"*:22\"}}\n").path(),
        "-t",
        "iptables",
        "-o",
        &out.display().to_string(),
    ]);
    assert!(ran.status == 2 && ran.stderr.contains("must not end in .ipset") && !out.exists(), "{ran}");
}
