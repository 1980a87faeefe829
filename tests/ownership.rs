//! FWC436: what root loads must be in root's hands alone.

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use serde_json::Value;
use support::cli::{as_nobody, fwc_with};
use support::{Namespace, Ran, fwc};

const WEB: &str = "sets: {bad: {file: bad.txt}}\nblock: [$bad]\nservices: {ssh: {listen: \"*:22\"}}\n";
const NOBODY: Option<u32> = Some(65534);

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

/// A spec with a set file in folders of root's.
struct Files {
    top: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        let files = Files { top: tempfile::tempdir().expect("a directory") };
        fs::create_dir_all(files.path("etc/fwc")).expect("folders");
        fs::write(files.path("etc/fwc/spec.yaml"), WEB).expect("a spec");
        fs::write(files.path("etc/fwc/bad.txt"), "192.0.2.1\n").expect("a set file");
        for (name, bits) in
            [("etc", 0o755), ("etc/fwc", 0o755), ("etc/fwc/spec.yaml", 0o644), ("etc/fwc/bad.txt", 0o644)]
        {
            mode(&files.path(name), bits);
        }
        files
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.top.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().expect("text").to_owned()
    }
}

/// Applies a spec to a namespace.
fn apply(namespace: &Namespace, path: &str, more: &[&str]) -> Ran {
    fwc(&[&["apply", path, "--netns", namespace.name(), "--format", "json"], more].concat())
}

/// The diagnostics of a refused apply: code, message, help.
#[track_caller]
fn refused(ran: &Ran) -> Vec<(String, String, String)> {
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
    let document: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let word = |one: &Value, key: &str| one[key].as_str().expect("text").to_owned();
    let found = document["diagnostics"].as_array().expect("diagnostics");
    found.iter().map(|one| (word(one, "code"), word(one, "message"), word(one, "help"))).collect()
}

/// Refused once, with FWC436, and a help that names `cure`.
#[track_caller]
fn refused_for(ran: &Ran, cure: &str) {
    let found = refused(ran);
    assert!(found.len() == 1 && found[0].0 == "FWC436" && found[0].2.contains(cure), "{cure} is not in {found:?}");
}

#[test]
fn what_others_could_change_is_refused() {
    let namespace = Namespace::new("trust");
    for name in ["etc/fwc/spec.yaml", "etc/fwc/bad.txt", "etc/fwc", "etc"] {
        let files = Files::new();
        let (path, text) = (files.path(name), files.text(name));
        let before = fs::metadata(&path).expect("a file").permissions().mode() & 0o7777;
        for spec in [files.text("etc/fwc/spec.yaml"), files.text("etc/fwc")] {
            assert_eq!(apply(&namespace, &spec, &["--dry-run"]).status, 0, "{name}");
            for (bits, who) in [(0o020, "its group"), (0o002, "everybody")] {
                mode(&path, before | bits);
                let ran = apply(&namespace, &spec, &[]);
                refused_for(&ran, &format!("`chmod go-w {text}`"));
                assert!(refused(&ran)[0].1.contains(&format!("{text} can be written by {who}")), "{ran}");
                refused_for(&apply(&namespace, &spec, &["--dry-run"]), "chmod");
                mode(&path, before);
            }
            chown(&path, NOBODY, None).expect("another owner");
            let ran = apply(&namespace, &spec, &[]);
            // Nobody is told to take a directory away from who works in it.
            let help = if path.is_dir() { "copy the spec".to_owned() } else { format!("`chown root:root {text}`") };
            refused_for(&ran, &help);
            assert!(refused(&ran)[0].1.starts_with(&format!("{text} belongs to the user with id 65534")), "{ran}");
            chown(&path, Some(0), None).expect("root's again");
        }
    }
    assert_eq!(namespace.ruleset(), "");
}

#[test]
fn links_are_followed_and_must_be_roots() {
    let namespace = Namespace::new("links");
    let files = Files::new();
    fs::create_dir(files.path("links")).expect("a folder");
    mode(&files.path("links"), 0o755);
    // To the file, to its folder, relative and absolute, and one behind another.
    symlink("../etc/fwc/spec.yaml", files.path("links/relative")).expect("a link");
    symlink(files.path("etc"), files.path("links/folder")).expect("a link");
    symlink("folder/fwc/../fwc/spec.yaml", files.path("links/behind")).expect("a link");
    // The set file is looked for beside the link.
    fs::write(files.path("links/bad.txt"), "192.0.2.1\n").expect("a set file");
    mode(&files.path("links/bad.txt"), 0o644);
    for name in ["links/relative", "links/behind", "links/folder/fwc/spec.yaml", "links/folder/fwc", "links/../etc/fwc"]
    {
        let ran = apply(&namespace, &files.text(name), &["--dry-run"]);
        assert_eq!(ran.status, 0, "{name}: {ran}");
        mode(&files.path("etc"), 0o777);
        refused_for(&apply(&namespace, &files.text(name), &[]), &format!("`chmod go-w {}`", files.text("etc")));
        mode(&files.path("etc"), 0o755);
    }
    std::os::unix::fs::lchown(files.path("links/relative"), NOBODY, None).expect("another owner");
    refused_for(&apply(&namespace, &files.text("links/relative"), &[]), "chown");
    assert_eq!(namespace.ruleset(), "");
}

#[test]
fn a_sticky_folder_may_be_on_the_way_but_not_be_the_spec() {
    let namespace = Namespace::new("sticky");
    let files = Files::new();
    for name in ["etc", "etc/fwc"] {
        mode(&files.path(name), 0o1777);
    }
    assert_eq!(apply(&namespace, &files.text("etc/fwc/spec.yaml"), &["--dry-run"]).status, 0);
    // Here anybody could add a file.
    refused_for(&apply(&namespace, &files.text("etc/fwc"), &[]), &format!("`chmod go-w {}`", files.text("etc/fwc")));
    chown(files.path("etc"), NOBODY, None).expect("another owner");
    refused_for(&apply(&namespace, &files.text("etc/fwc/spec.yaml"), &[]), "copy the spec to where only root writes");
    assert_eq!(namespace.ruleset(), "");
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    let namespace = Namespace::new("all");
    let files = Files::new();
    mode(&files.path("etc/fwc/spec.yaml"), 0o666);
    chown(files.path("etc/fwc/bad.txt"), NOBODY, None).expect("another owner");
    let found = refused(&apply(&namespace, &files.text("etc/fwc"), &[]));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|(code, ..)| code == "FWC436"), "{found:?}");
    // Somebody who knows better.
    let ran = apply(&namespace, &files.text("etc/fwc"), &["--force", "FWC436"]);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(ran.stderr.contains("FWC436"), "{ran}");
    assert!(namespace.ruleset().contains("table inet fwc"));
}

#[test]
fn standard_input_other_users_and_other_commands_are_free() {
    let namespace = Namespace::new("free");
    let files = Files::new();
    for name in ["etc/fwc/spec.yaml", "etc/fwc/bad.txt"] {
        mode(&files.path(name), 0o666);
    }
    let spec = files.text("etc/fwc/spec.yaml");
    for words in [
        &["check", &spec][..],
        &["check", "--kernel", &spec],
        &["compile", &spec, "-t", "nft"],
        &["apply", "--sandbox", &spec],
    ] {
        assert_eq!(fwc(words).status, 0, "{words:?}");
    }
    let plain = "services: {ssh: {listen: \"*:22\"}}\n";
    let ran = fwc_with(&["apply", "-", "--netns", namespace.name()], plain);
    assert_eq!(ran.status, 0, "{ran}");
    // But not the set file that a spec from there names.
    let named = WEB.replace("bad.txt", &files.text("etc/fwc/bad.txt"));
    refused_for(&fwc_with(&["apply", "-", "--netns", namespace.name(), "--format", "json"], &named), "chmod");
    // Root of a user namespace decides about nothing but that.
    mode(files.top.path(), 0o755);
    let ran = as_nobody(
        &["unshare", "-Urn", "sh", "-c", "FWC_STATE_DIR=$(mktemp -d) exec \"$0\" \"$@\""],
        &["apply", &spec],
        "",
    );
    assert_eq!(ran.status, 0, "{ran}");
}
