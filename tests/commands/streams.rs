//! Standard output, standard error, the terminal: also when nobody reads them.

use std::fs::OpenOptions;
use std::process::Stdio;

use super::support::cli::command;
use super::support::{Spec, fwc, require};
use super::{WEB, WRONG, ended};

/// A pipe whose reader has gone away.
fn broken_pipe() -> Stdio {
    let (_, writer) = std::io::pipe().expect("a pipe");
    Stdio::from(writer)
}

#[test]
fn a_reader_that_has_gone_away_is_no_error() {
    let (good, wrong) = (Spec::new(WEB), Spec::new(WRONG));
    let (good, wrong) = (good.path(), wrong.path());
    let cases: [(&[&str], i32); 7] = [
        (&["schema"], 0),
        (&["explain"], 0),
        (&["compile", &good, "-t", "nft"], 0),
        (&["compile", &good, "-t", "iptables"], 0),
        (&["check", "--format", "json", &good], 0),
        (&["check", "--format", "sarif", &wrong], 1),
        (&["--help"], 0),
    ];
    for (words, status) in cases {
        let output = command(words).stdout(broken_pipe()).output().expect("fwc starts");
        assert_eq!(output.status.code(), Some(status), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_exit_code_tells_all_where_standard_error_is_gone() {
    let (good, wrong) = (Spec::new(WEB), Spec::new(WRONG));
    let (good, wrong) = (good.path(), wrong.path());
    let cases: [(&[&str], i32); 7] = [
        (&["check", &good], 0),
        (&["check", &wrong], 1),
        (&["compile", &wrong, "-t", "nft"], 1),
        (&["explain", "FWC999"], 2),
        (&["compile", &good, "-o", "file-without-a-target"], 2),
        (&["compile", &good, "-t", "nft", "-o", "/nowhere/fwc.nft"], 1),
        (&["status", "--netns", "nowhere"], 3),
    ];
    for (words, status) in cases {
        let output = command(words).stderr(broken_pipe()).output().expect("fwc starts");
        assert_eq!(output.status.code(), Some(status), "{words:?}");
    }
}

#[test]
fn a_full_disk_is_an_error() {
    let good = Spec::new(WEB);
    let good = good.path();
    for words in [&["schema"][..], &["compile", &good, "-t", "iptables"], &["check", "--format", "json", &good]] {
        let full = OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
        let output = command(words).stdout(full).output().expect("fwc starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {said}");
        assert!(said.contains("No space left"), "{words:?}: {said}");
    }
}

#[test]
fn data_goes_to_standard_output_and_diagnostics_to_standard_error() {
    let odd = Spec::new(super::ODD);
    let odd = odd.path();
    for format in ["human", "json"] {
        let ran = ended(fwc(&["compile", &odd, "-t", "nft", "--format", format]), 0);
        assert!(ran.stdout.contains("table inet fwc") && !ran.stdout.contains("FWC209"), "{ran}");
        assert!(ran.stderr.contains("FWC209") && !ran.stderr.contains("table inet fwc"), "{ran}");
    }
    let ran = ended(fwc(&["compile", &Spec::new(WRONG).path(), "-t", "nft", "--format", "json"]), 1);
    assert_eq!(ran.stdout, "");
    assert_eq!(super::codes(&ran.stderr), ["FWC103", "FWC114", "FWC112"]);
}

/// What `fwc check` of a wrong spec writes to a terminal.
fn on_a_terminal(settings: &[(&str, &str)]) -> String {
    require(&["script"]);
    let spec = Spec::new(WRONG);
    let line = format!("{} check {}", env!("CARGO_BIN_EXE_fwc"), spec.path());
    let mut terminal = super::support::tools::command(["script", "-q", "-e", "-c", &line, "/dev/null"]);
    terminal.env_remove("NO_COLOR").env("TERM", "xterm").envs(settings.iter().copied());
    let ran = super::support::tools::run(&mut terminal, "");
    ended(ran, 1).stdout
}

#[test]
fn colour_is_for_terminals_without_no_color() {
    const ESCAPE: char = '\u{1b}';
    assert!(on_a_terminal(&[]).contains(ESCAPE));
    assert!(on_a_terminal(&[("NO_COLOR", "")]).contains(ESCAPE), "an empty NO_COLOR is none");
    let plain = on_a_terminal(&[("NO_COLOR", "1")]);
    assert!(!plain.contains(ESCAPE) && plain.contains("`stateles`"), "{plain}");
    let piped = command(&["check", &Spec::new(WRONG).path()]).env_remove("NO_COLOR").output().expect("fwc starts");
    assert!(!String::from_utf8_lossy(&piped.stderr).contains(ESCAPE));
}
