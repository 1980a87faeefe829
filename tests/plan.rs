//! `fwc plan`: in what the live table differs from the spec, and that a saved plan is loaded as planned or not at all.

mod support;

use std::fs;

use serde_json::Value;
use support::{Namespace, Ran, Spec, examples, tools};

const BASE: &str = "\
policy: {input: drop, output: accept}
sets: {admins: [192.0.2.0/28, 198.51.100.7], bad: {file: bad.txt}}
block: [$bad]
services:
  web: {listen: \"203.0.113.5:80\", stateless: true}
  ssh: {listen: \"*:22\", from: $admins}
  mail: {listen: \"*:25\"}
clients:
  resolver: {to: \"9.9.9.9:53\", protocol: udp, stateless: true}
";

fn spec(text: &str) -> Spec {
    Spec::new(text).file("bad.txt", "10.9.0.0/16\n10.11.0.1\n")
}

fn plan(namespace: &Namespace, spec: &Spec, more: &[&str]) -> Ran {
    namespace.fwc(&[&["plan", &spec.path()], more].concat())
}

#[track_caller]
fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran}"))
}

/// What a plan from the base to a changed spec says, and its exit codes.
#[track_caller]
fn differs(purpose: &str, from: &str, to: &str) -> (String, Value) {
    let namespace = Namespace::new(purpose);
    namespace.fwc(&["apply", &spec(from).path()]).expect_success("the base");
    let (before, to) = (namespace.ruleset(), spec(to));
    let ran = plan(&namespace, &to, &["--detailed-exitcode"]);
    assert_eq!(ran.status, 2, "{ran}");
    let (human, value) = (plan(&namespace, &to, &[]), json(&plan(&namespace, &to, &["--format", "json"])));
    assert_eq!((human.status, human.stdout.as_str()), (0, ran.stdout.as_str()), "{ran}");
    assert_eq!(namespace.ruleset(), before);
    // Once applied, there is nothing left.
    namespace.fwc(&["apply", &to.path()]).expect_success("the changed spec");
    let ran = plan(&namespace, &to, &["--detailed-exitcode"]);
    assert!(ran.status == 0 && ran.stdout.contains("nothing would change"), "{ran}");
    (human.stdout, value)
}

/// The entries of a plan: section, name and change.
fn entries(value: &Value) -> Vec<String> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("?").to_owned();
    let line = |entry: &Value| format!("{} {}.{}", text(entry, "change"), text(entry, "section"), text(entry, "name"));
    value["entries"].as_array().expect("entries").iter().map(line).collect()
}

#[test]
fn what_is_loaded_as_the_spec_says_is_the_same() {
    let namespace = Namespace::new("same");
    for path in examples() {
        let path = path.display().to_string();
        let words = ["plan", &path, "--detailed-exitcode"];
        assert_eq!(namespace.fwc(&words).status, 2, "{path}");
        namespace.fwc(&["apply", &path]).expect_success(&path);
        let ran = namespace.fwc(&words);
        assert_eq!((ran.status, ran.stdout.contains("nothing would change")), (0, true), "{path}: {ran}");
        let value = json(&namespace.fwc(&["plan", &path, "--format", "json"]));
        assert_eq!((value["same"].as_bool(), value["loaded"].as_bool()), (Some(true), Some(true)), "{value}");
        for list in ["policies", "entries", "sets", "rules"] {
            assert_eq!(value[list].as_array().map(Vec::len), Some(0), "{path}: {value}");
        }
    }
}

#[test]
fn where_nothing_is_loaded_all_is_added() {
    let namespace = Namespace::new("nothing");
    let base = spec(BASE);
    let ran = plan(&namespace, &base, &[]);
    assert!(ran.status == 0 && ran.stdout.starts_with("table inet fwc: not loaded; all of this"), "{ran}");
    let value = json(&plan(&namespace, &base, &["--format", "json"]));
    let expected = ["add clients.resolver", "add services.mail", "add services.ssh", "add services.web"];
    assert_eq!(entries(&value), expected, "{value}");
    let rules: Vec<&str> =
        value["rules"].as_array().expect("rules").iter().filter_map(|rule| rule["what"].as_str()).collect();
    for what in ["established", "meta nfproto ipv4 ip daddr . meta l4proto . th dport @service_requests_v4 accept"] {
        assert!(rules.contains(&what), "{what}: {rules:#?}");
    }
    assert!(rules.iter().all(|what| !what.is_empty() && !what.contains("without a comment")), "{rules:#?}");
    assert_eq!(namespace.ruleset(), "");
}

#[test]
fn entries_are_named_with_their_directions() {
    let to = BASE
        .replace(
            "  mail: {listen: \"*:25\"}\n",
            "  dns: {listen: \"203.0.113.5:53\", protocol: udp, stateless: true}\n",
        )
        .replace("203.0.113.5:80", "203.0.113.5:8080");
    let (human, value) = differs("entries", BASE, &to);
    assert_eq!(entries(&value), ["add services.dns", "remove services.mail", "change services.web"], "{human}");
    for line in [
        "  + services.dns\n",
        "      + request   203.0.113.5 . udp . 53  (service_requests_v4)\n",
        "      + reply     203.0.113.5 . udp . 53  (service_replies_v4)\n",
        "      + tracking  203.0.113.5 . udp . 53  (stateless_services_v4)\n",
        "  - services.mail\n      - request   tcp . 25  (tracked_services)\n",
        "  ~ services.web\n",
        "      - request   203.0.113.5 . tcp . 80  (service_requests_v4)\n",
        "      + reply     203.0.113.5 . tcp . 8080  (service_replies_v4)\n",
    ] {
        assert!(human.contains(line), "{line}\n{human}");
    }
}

#[test]
fn policies_and_sets_are_named() {
    let (human, _) = differs("policy", BASE, &BASE.replace("output: accept", "output: drop"));
    assert!(human.contains("  ~ policy output: accept -> drop\n"), "{human}");
    let (human, value) = differs("sets", BASE, &BASE.replace("198.51.100.7]", "198.51.100.8/29, \"2001:db8::/48\"]"));
    assert!(human.contains("  ~ set admins: 2 added, 1 removed\n"), "{human}");
    for line in ["      + 198.51.100.8/29\n", "      + 2001:db8::/48\n", "      - 198.51.100.7\n"] {
        assert!(human.contains(line), "{line}\n{human}");
    }
    let set = &value["sets"][0];
    assert_eq!((set["name"].as_str(), set["removed"][0].as_str()), (Some("admins"), Some("198.51.100.7")), "{value}");
}

#[test]
fn tracking_alone_is_a_change() {
    let (human, value) = differs("tracking", BASE, &BASE.replace("\"*:25\"", "\"*:25\", stateless: true"));
    assert_eq!(entries(&value), ["change services.mail"], "{human}");
    assert!(human.contains("      + tracking  tcp . 25  (stateless_services)\n"), "{human}");
}

#[test]
fn changes_by_hand_are_named() {
    let namespace = Namespace::new("hand");
    let base = spec(BASE);
    namespace.fwc(&["apply", &base.path()]).expect_success("the base");
    namespace.write_nft("insert rule inet fwc input tcp dport 23 accept comment \"by hand\"");
    namespace.write_nft("add element inet fwc service_requests_v4 { 203.0.113.5 . tcp . 81 comment \"fwc: web\" }");
    namespace.write_nft("add chain inet fwc mine");
    namespace.write_nft("add rule inet fwc mine ip saddr 192.0.2.66 udp dport { 53, 123 } counter drop");
    namespace.write_nft("add rule inet fwc mine ip saddr . meta l4proto . th dport @service_requests_v4 return");
    let ran = plan(&namespace, &base, &["--detailed-exitcode"]);
    assert_eq!(ran.status, 2, "{ran}");
    for line in [
        "  ~ services.web\n      - request   203.0.113.5 . tcp . 81  (service_requests_v4)\n",
        "  - rule in input: by hand\n",
        "  - rule in mine: the chain itself\n",
        // A rule that says nothing of itself is told by its text.
        "  - rule in mine: meta nfproto ipv4 ip saddr 192.0.2.66 meta l4proto 17 th dport { 53, 123 } counter drop\n",
        "  - rule in mine: meta nfproto ipv4 ip saddr . meta l4proto . th dport @service_requests_v4 return\n",
    ] {
        assert!(ran.stdout.contains(line), "{line}\n{ran}");
    }
    namespace.fwc(&["apply", &base.path()]).expect_success("again");
    // The order alone: the first rule becomes the last.
    let handles = namespace.ok(["nft", "-a", "list", "chain", "inet", "fwc", "raw_output"]);
    assert!(handles.contains("notrack"), "{handles}");
    let first = handles.lines().find(|line| line.contains("# handle") && line.contains("comment \"fwc: ")).unwrap();
    let (rule, handle) = first.trim().split_once(" # handle ").unwrap();
    namespace.write_nft(&format!("delete rule inet fwc raw_output handle {handle}"));
    namespace.write_nft(&format!("add rule inet fwc raw_output {rule}"));
    let ran = plan(&namespace, &base, &[]);
    assert!(ran.stdout.contains("  ~ rule in raw_output: the order of its rules\n"), "{ran}");
}

#[test]
fn errors_have_their_codes() {
    let namespace = Namespace::new("errors");
    let wrong = Spec::new("services: {web: {listen: \"*:0\"}}\n");
    for more in [&[][..], &["--detailed-exitcode"]] {
        let ran = plan(&namespace, &wrong, more);
        assert!(ran.status == 1 && ran.stdout.is_empty() && ran.stderr.contains("FWC112"), "{ran}");
    }
    let base = spec(BASE);
    let elsewhere =
        |more: &[&str]| tools::run(&mut support::cli::command(&[&["plan", &base.path()], more].concat()), "");
    assert_eq!(elsewhere(&["--netns", "no-such-namespace"]).status, 3);
    assert_eq!(elsewhere(&["--netns", "no-such-namespace", "--detailed-exitcode"]).status, 1);
}

/// A saved plan of the base, on a namespace with something else loaded.
fn saved(purpose: &str) -> (Namespace, Spec, String) {
    let namespace = Namespace::new(purpose);
    namespace.fwc(&["apply", &Spec::new("services: {ssh: {listen: \"*:22\"}}\n").path()]).expect_success("before");
    let base = spec(BASE);
    let out = base.path().replace("spec.yaml", "plan");
    let said = plan(&namespace, &base, &["--out", &out]).expect_success("plan");
    assert!(
        said.ends_with(&format!("saved: `fwc apply {out}` loads exactly this, as long as nothing changes before\n")),
        "{said}"
    );
    (namespace, base, out)
}

#[track_caller]
fn is_stale(namespace: &Namespace, plan: &str, why: &str) {
    let before = namespace.ruleset();
    for more in [&[][..], &["--dry-run"], &["--confirm-within", "10m"]] {
        let ran = namespace.fwc(&[&["apply", plan], more].concat());
        let text = ran.stderr.replace(['\n', '|'], " ").split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(ran.status == 1 && text.contains("FWC516") && text.contains(why), "{why}: {ran}");
        assert_eq!(namespace.ruleset(), before);
    }
    let status: Value = json(&namespace.fwc(&["status", "--format", "json"]));
    assert!(status["pending"].is_null(), "{status}");
}

#[test]
fn a_saved_plan_is_loaded_as_planned() {
    let (namespace, base, out) = saved("saved");
    namespace.fwc(&["apply", &out, "--dry-run"]).expect_success("dry run");
    let said = namespace.fwc(&["apply", &out]).expect_success("apply");
    assert!(said.starts_with("table inet fwc: loaded\n  4 entries"), "{said}");
    assert_eq!(plan(&namespace, &base, &["--detailed-exitcode"]).status, 0);
    // A plan is loaded once.
    is_stale(&namespace, &out, "the host's nf_tables rules have changed since");
    namespace.fwc(&["rollback"]).expect_success("rollback");
    assert!(!namespace.ruleset().contains("fwc: mail"));
}

#[test]
fn a_plan_from_standard_input_needs_no_file() {
    let namespace = Namespace::new("stdin");
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("plan").display().to_string();
    let mut command = support::cli::command(&["plan", "-", "--out", &out]);
    let text = "services: {web: {listen: \"*:80\"}}\n";
    namespace.enter(|| tools::run(&mut command, text)).expect_success("plan");
    namespace.fwc(&["apply", &out]).expect_success("apply");
    assert!(namespace.ruleset().contains("fwc: web"));
}

#[test]
fn a_stale_plan_is_refused() {
    let (namespace, base, out) = saved("spec");
    fs::write(base.path(), BASE.replace(":25", ":26")).unwrap();
    is_stale(&namespace, &out, "has changed since");
    fs::remove_file(base.path()).unwrap();
    is_stale(&namespace, &out, "has changed since");

    let (namespace, base, out) = saved("set");
    fs::write(base.path().replace("spec.yaml", "bad.txt"), "10.9.0.0/16\n").unwrap();
    is_stale(&namespace, &out, "has changed since");

    // Anybody's rules.
    let (namespace, _base, out) = saved("rules");
    namespace.write_nft("table ip other { }");
    is_stale(&namespace, &out, "the host's nf_tables rules have changed since");

    let (_planned, _base, out) = saved("elsewhere");
    is_stale(&Namespace::new("other"), &out, "it was made in another network namespace");
}

#[test]
fn a_damaged_plan_is_refused_as_damaged() {
    let (namespace, _base, out) = saved("damaged");
    let text = fs::read_to_string(&out).unwrap();
    let edited = |from: &str, to: &str| {
        let new = text.replacen(from, to, 1);
        assert_ne!(new, text, "{from}");
        new.into_bytes()
    };
    let half = text.as_bytes()[..text.len() / 2].to_vec();
    let changed = "was changed after it was saved";
    let cases: [(Vec<u8>, &str); 8] = [
        (half.clone(), "is damaged"),
        ([half, vec![0xff; 8]].concat(), "is damaged"),
        (edited("\"texts\"", "\"words\""), "is damaged"),
        (edited("\"version\": 1", "\"version\": 2"), "has version 2"),
        (edited(":80", ":81"), changed),
        (edited("\"identity\": \"", "\"identity\": \"00"), changed),
        (edited("\"generation\": ", "\"generation\": 1"), changed),
        (edited("\"live\"", "\"more\": 1,\n  \"live\""), changed),
    ];
    for (bytes, why) in cases {
        fs::write(&out, bytes).unwrap();
        is_stale(&namespace, &out, why);
        let said = namespace.fwc(&["apply", &out]).stderr;
        assert!(!said.contains("FWC513") && said.contains("fwc plan SPEC --out"), "{said}");
    }
    fs::write(&out, &text).unwrap();
    namespace.fwc(&["apply", &out]).expect_success("as it was saved");
}

#[test]
fn what_is_no_plan_is_read_as_a_spec() {
    let namespace = Namespace::new("no-plan");
    let spec = Spec::new("{}\n");
    let ran = namespace.fwc(&["apply", &spec.path()]);
    assert!(ran.status <= 1 && !ran.stderr.contains("FWC516") && !ran.stderr.contains("FWC513"), "{ran}");
}

/// A word of a command line that names a file beside the spec.
fn beside(spec: &Spec, name: &str) -> String {
    spec.path().replace("spec.yaml", name)
}

#[test]
fn a_plan_is_saved_over_nothing_but_an_older_plan() {
    let (namespace, base, out) = saved("over");
    let base = base.file("notes", "mine\n").file("blank", "");
    fs::copy(&out, beside(&base, "damaged")).expect("a copy");
    std::os::unix::fs::symlink(base.path(), beside(&base, "link")).expect("a link");
    tools::run(&mut tools::command(["mkfifo", &beside(&base, "fifo")]), "").expect_success("mkfifo");
    let texts = ["spec.yaml", "bad.txt", "notes", "link"];
    let content = || texts.map(|name| fs::read_to_string(beside(&base, name)).expect(name));
    let before = content();
    for name in ["spec.yaml", "bad.txt", "notes", "link", "fifo", "."] {
        let ran = plan(&namespace, &base, &["--out", &beside(&base, name)]);
        assert!(ran.status == 1 && ran.stdout.is_empty() && ran.stderr.contains("FWC530"), "{name}: {ran}");
        assert_eq!(content(), before, "{name}");
        assert_eq!(fs::symlink_metadata(beside(&base, "fifo")).expect("the FIFO").len(), 0, "{name}");
    }
    // By another way to the same file.
    let ran = namespace.fwc(&["plan", &beside(&base, "link"), "--out", &base.path()]);
    assert!(ran.status == 1 && ran.stderr.contains("FWC530") && content() == before, "{ran}");
    for name in ["plan", "blank", "new"] {
        let out = beside(&base, name);
        plan(&namespace, &base, &["--out", &out]).expect_success(name);
        namespace.fwc(&["apply", &out, "--dry-run"]).expect_success(name);
    }
}

#[test]
fn a_plan_does_not_become_a_part_of_a_spec_in_a_directory() {
    let namespace = Namespace::new("directory");
    let base = spec(BASE);
    let folder = beside(&base, "");
    for name in ["plan.yaml", "plan.YML"] {
        let ran = namespace.fwc(&["plan", &folder, "--out", &beside(&base, name)]);
        assert!(ran.status == 1 && ran.stderr.contains("FWC530"), "{ran}");
    }
    namespace.fwc(&["plan", &folder, "--out", &beside(&base, "plan")]).expect_success("a file that no spec has");
    namespace.fwc(&["apply", &beside(&base, "plan")]).expect_success("apply");
}
