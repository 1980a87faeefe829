//! FWC401: an apply that would end the ssh session that it is typed in, or shut the door that sshd keeps open.
//!
//! All goes by `--netns`, so that the session of whoever runs these tests does not count.

mod support;

use std::net::TcpStream;

use serde_json::Value;
use support::cli::command;
use support::{Link, Namespace, Nginx, Ran, Spec, tools};

/// No entry for ssh.
const WEB: &str = "services: {web: {listen: \"203.0.113.5:80\", stateless: true}}\n";
/// The session of a client on the cable.
const SESSION: &str = "203.0.113.7 50022 203.0.113.5 22";

/// `fwc apply` of a spec text to a namespace, typed in this ssh session.
fn apply_from(session: &str, to: &Namespace, yaml: &str, more: &[&str]) -> Ran {
    let spec = Spec::new(yaml);
    let path = spec.path();
    let mut command = command(&[&["apply", &path, "--netns", to.name(), "--format", "json"], more].concat());
    if !session.is_empty() {
        command.env("SSH_CONNECTION", session);
    }
    tools::run(command.env("FWC_STATE_DIR", to.state_dir()), "")
}

fn is_loaded(namespace: &Namespace) -> bool {
    namespace.run(["nft", "list", "table", "inet", "fwc"]).status == 0
}

/// The message and the help of each error. The one document holds the spec's warnings too.
#[track_caller]
fn findings(ran: &Ran) -> Vec<(String, String)> {
    let document: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let text = |found: &Value, key: &str| found[key].as_str().expect("text").to_owned();
    let found = document["diagnostics"].as_array().expect("diagnostics");
    let errors = found.iter().filter(|found| found["severity"] == "error");
    assert!(errors.clone().all(|found| found["code"] == "FWC401"), "{ran}");
    errors.map(|found| (text(found, "message"), text(found, "help"))).collect()
}

/// The apply is refused with one finding, whose message holds `says` and whose help names the entry for `port`.
#[track_caller]
fn is_refused(ran: &Ran, namespace: &Namespace, says: &str, port: u16) {
    is_refused_with(ran, namespace, says, &format!("ssh: {{listen: \"*:{port}\"}}"));
}

/// The same with other words in the help.
#[track_caller]
fn is_refused_with(ran: &Ran, namespace: &Namespace, says: &str, advice: &str) {
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
    let found = findings(ran);
    assert_eq!(found.len(), 1, "{ran}");
    let (message, help) = &found[0];
    assert!(message.contains(says), "{message}");
    assert!(help.contains(advice) && help.contains("--force FWC401"), "{help}");
    assert!(!is_loaded(namespace));
}

/// The apply goes through without a word.
#[track_caller]
fn is_taken(ran: &Ran, namespace: &Namespace) {
    assert_eq!((ran.status, ran.stderr.as_str()), (0, ""), "{ran}");
    assert!(is_loaded(namespace));
    namespace.fwc(&["remove"]).expect_success("fwc remove");
}

/// The same spec with the entry that the message proposes.
fn with_entry(yaml: &str, entry: &str) -> String {
    yaml.replace("services: {", &format!("services: {{{entry}, "))
}

#[test]
fn a_session_without_an_entry_is_not_cut_off() {
    let link = Link::new("session");
    let server = &link.server;
    for (session, port) in [
        (SESSION, 22),
        ("203.0.113.7 50022 203.0.113.5 2222", 2222),
        ("2001:db8::7 50022 2001:db8::5 22", 22),
        ("::ffff:203.0.113.7 50022 ::ffff:203.0.113.5 22", 22),
    ] {
        let says = "this would cut off the ssh session from ";
        is_refused(&apply_from(session, server, WEB, &[]), server, says, port);
        is_refused(&apply_from(session, server, WEB, &["--dry-run"]), server, says, port);
        // What the message says to add is enough.
        let cured = with_entry(WEB, &format!("ssh: {{listen: \"*:{port}\"}}"));
        is_taken(&apply_from(session, server, &cured, &[]), server);
        let tight = cured.replace("services:", "policy: {input: drop, output: drop}\nservices:");
        is_taken(&apply_from(session, server, &tight, &[]), server);
        let stateless = with_entry(WEB, &format!("ssh: {{listen: \"*:{port}\", stateless: true}}"));
        is_taken(&apply_from(session, server, &stateless, &[]), server);
    }
    is_taken(&apply_from("", server, WEB, &[]), server);
}

#[test]
fn an_entry_counts_only_if_it_lets_this_session_in() {
    let link = Link::new("from");
    let server = &link.server;
    let says = "no entry accepts it";
    for entry in [
        "ssh: {listen: \"*:22\", from: 198.51.100.0/24}",
        "ssh: {listen: \"*:22\", from: 203.0.113.5}",
        "ssh: {listen: \"*:22\", interface: eth1}",
        "ssh: {listen: \"*:22\", protocol: udp}",
        "ssh: {listen: \"203.0.113.6:22\"}",
        "ssh: {listen: \"[2001:db8::5]:22\"}",
        "ssh: {listen: \"*:2222\"}",
    ] {
        is_refused(&apply_from(SESSION, server, &with_entry(WEB, entry), &[]), server, says, 22);
    }
    for entry in [
        "ssh: {listen: \"*:22\", from: 203.0.113.7}",
        "ssh: {listen: \"*:22\", interface: [eth1, eth0]}",
        "ssh: {listen: \"203.0.113.0/28:22\"}",
        "ssh: {listen: \"*:20-30\", stateless: true}",
    ] {
        is_taken(&apply_from(SESSION, server, &with_entry(WEB, entry), &[]), server);
    }
}

#[test]
fn a_block_list_with_the_client_in_it_is_noticed() {
    let link = Link::new("block");
    let open = with_entry(WEB, "ssh: {listen: \"*:22\"}");
    // Another entry would not help.
    let (says, advice) = ("its source is in `block`", "out of `block`");
    for (blocked, session) in [("203.0.113.7", SESSION), ("\"2001:db8::7\"", "2001:db8::7 1022 2001:db8::5 22")] {
        let spec = format!("block: [{blocked}]\n{open}");
        is_refused_with(&apply_from(session, &link.server, &spec, &[]), &link.server, says, advice);
        // Also where everything else is let in.
        let spec = format!("policy: {{input: accept}}\n{spec}");
        is_refused_with(&apply_from(session, &link.server, &spec, &[]), &link.server, says, advice);
    }
    is_taken(&apply_from(SESSION, &link.server, &format!("block: [203.0.113.5]\n{open}"), &[]), &link.server);
}

#[test]
fn an_open_input_locks_nobody_out() {
    let link = Link::new("open");
    let _sshd = Nginx::start_as("sshd", &link.server, &["203.0.113.5:22"]);
    let open = format!("policy: {{input: accept}}\n{WEB}");
    is_taken(&apply_from(SESSION, &link.server, &open, &[]), &link.server);
    // Replies leave only where they are accepted, or tracked.
    let mute = format!("policy: {{input: accept, output: drop}}\n{WEB}");
    is_refused(&apply_from("", &link.server, &mute, &[]), &link.server, "203.0.113.5:22", 22);
    let tracked = with_entry(&mute, "other: {listen: \"*:23\"}");
    is_taken(&apply_from("", &link.server, &tracked, &[]), &link.server);
}

#[test]
fn a_port_of_sshd_without_an_entry_is_named() {
    let link = Link::new("sshd");
    let server = &link.server;
    let _sshd = Nginx::start_as("sshd", server, &["203.0.113.5:22", "0.0.0.0:2222", "[::]:2222", "127.0.0.1:2022"]);
    let ran = apply_from("", server, WEB, &[]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "{ran}");
    let mut messages: Vec<String> = findings(&ran).into_iter().map(|(message, _)| message).collect();
    messages.sort();
    // A port is named once; nobody outside uses the one on loopback.
    assert_eq!(messages.len(), 2, "{messages:#?}");
    assert!(messages[0].contains("sshd listens on 0.0.0.0:2222") || messages[0].contains("sshd listens on [::]:2222"));
    assert!(messages[1].contains("sshd listens on 203.0.113.5:22,"), "{messages:#?}");
    assert!(!is_loaded(server));

    let half = with_entry(WEB, "ssh: {listen: \"*:22\"}");
    is_refused(&apply_from("", server, &half, &[]), server, ":2222", 2222);
    // An entry for nobody but the administrators is an entry.
    let whole = with_entry(WEB, "ssh: {listen: \"*:22,2222\", from: 198.51.100.7}");
    is_taken(&apply_from("", server, &whole, &[]), server);
}

/// A connection from the client that stays open as long as it is held.
fn connected(link: &Link, to: &str) -> TcpStream {
    link.client.enter(|| TcpStream::connect(to)).expect("a connection")
}

#[test]
fn the_sessions_of_others_are_not_cut_off() {
    let link = Link::new("others");
    let server = &link.server;
    let _sshd = Nginx::start_as("sshd", server, &["203.0.113.5:22", "[2001:db8::5]:22", "203.0.113.5:2222"]);
    let _sessions = [
        connected(&link, "203.0.113.5:22"),
        connected(&link, "203.0.113.5:22"),
        connected(&link, "[2001:db8::5]:22"),
        connected(&link, "203.0.113.5:2222"),
    ];
    // All may come in, and so may they.
    let open = with_entry(WEB, "ssh: {listen: \"*:22,2222\"}");
    is_taken(&apply_from("", server, &open, &[]), server);
    // An entry that lets in somebody else.
    let other = with_entry(WEB, "ssh: {listen: \"*:22\", from: 198.51.100.0/24}, more: {listen: \"*:2222\"}");
    let ran = apply_from("", server, &other, &[]);
    is_refused(&ran, server, "this would cut off 3 ssh sessions at port 22, from 203.0.113.7:", 22);
    assert!(ran.stderr.contains("[2001:db8::7]:"), "{ran}");
    let narrow = with_entry(WEB, "ssh: {listen: \"*:22\"}, more: {listen: \"*:2222\", interface: eth1}");
    let says = "this would cut off an ssh session at port 2222, from 203.0.113.7:";
    is_refused(&apply_from("", server, &narrow, &[]), server, says, 2222);
    let blocked = format!("block: [203.0.113.7]\n{open}");
    let ran = apply_from("", server, &blocked, &[]);
    assert_eq!((ran.status, findings(&ran).len()), (1, 2), "{ran}");
    assert!(findings(&ran).iter().all(|(message, _)| message.contains("its source is in `block`")), "{ran}");
    let ran = apply_from("", server, &blocked, &["--force", "FWC401"]);
    assert_eq!(ran.status, 0, "{ran}");
    assert!(is_loaded(server));
}

#[test]
fn what_an_ancestor_came_in_by_is_the_session() {
    // Without SSH_CONNECTION: the shell holds the connection, as telnetd's or another program's would.
    let link = Link::new("ancestor");
    let server = &link.server;
    let spec = Spec::new(WEB);
    let script = format!(
        "import os, socket, subprocess, sys\n\
         s = socket.create_server(('203.0.113.5', 2323))\n\
         print('ready', flush=True)\n\
         c = s.accept()[0]\n\
         r = subprocess.run([{fwc:?}, 'apply', {spec:?}, '--format', 'json'], capture_output=True, text=True, close_fds=True)\n\
         print(r.returncode, r.stdout, r.stderr)\n",
        fwc = env!("CARGO_BIN_EXE_fwc"),
        spec = spec.path()
    );
    let state = format!("FWC_STATE_DIR={}", server.state_dir().display());
    let shell = server.spawn(["env", "-u", "SSH_CONNECTION", &state, "python3", "-c", &script]);
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    let session = loop {
        match link.client.enter(|| TcpStream::connect("203.0.113.5:2323")) {
            Ok(session) => break session,
            Err(error) => assert!(std::time::Instant::now() < end, "{error}"),
        }
    };
    let ran = shell.wait();
    drop(session);
    assert!(ran.stdout.contains("\n1 "), "{ran}");
    assert!(ran.stdout.contains("this would cut off the connection from 203.0.113.7:"), "{ran}");
    assert!(ran.stdout.contains("to 203.0.113.5:2323 that you are in"), "{ran}");
    assert!(!is_loaded(server));
}

#[test]
fn force_loads_in_spite_of_it_and_tells_all_the_same() {
    let link = Link::new("force");
    let _sshd = Nginx::start_as("sshd", &link.server, &["203.0.113.5:22"]);
    let ran = apply_from(SESSION, &link.server, WEB, &["--force", "FWC302"]);
    assert_eq!((ran.status, findings(&ran).len()), (1, 2), "{ran}");
    assert!(!is_loaded(&link.server));
    let ran = apply_from(SESSION, &link.server, WEB, &["--force", "FWC302", "--force", "FWC401"]);
    assert_eq!((ran.status, findings(&ran).len()), (0, 2), "{ran}");
    assert!(is_loaded(&link.server));
}

#[test]
fn a_session_to_another_namespace_does_not_count() {
    let link = Link::new("elsewhere");
    is_taken(&apply_from("198.51.100.7 50022 198.51.100.5 22", &link.server, WEB, &[]), &link.server);
    // Every namespace has a loopback address.
    is_taken(&apply_from("127.0.0.1 50022 127.0.0.1 22", &link.server, WEB, &[]), &link.server);
}

#[test]
fn sudo_does_not_hide_the_session() {
    let link = Link::new("sudo");
    let spec = Spec::new(WEB);
    // The shell is the login; `env -i` strips the environment as sudo does. The last word keeps the shell where it is.
    let script = "env -i PATH=\"$PATH\" FWC_STATE_DIR=\"$FWC_STATE_DIR\" \"$0\" apply \"$1\" --netns \"$2\" --format json; exit $?";
    let fwc = env!("CARGO_BIN_EXE_fwc");
    let mut login = tools::command(["sh", "-c", script, fwc, &spec.path(), link.server.name()]);
    login.env("SSH_CONNECTION", SESSION).env("FWC_STATE_DIR", link.server.state_dir());
    let ran = tools::run(&mut login, "");
    is_refused(&ran, &link.server, "the ssh session from 203.0.113.7:50022 to 203.0.113.5:22", 22);
}
