//! FWC405 and FWC408: what listens and is in no entry, and open connections that an apply would cut. Both warn, and load.

mod support;

use std::fs::{DirBuilder, File};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::thread::{self, sleep};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use serde_json::Value;
use support::cli::command;
use support::{Link, Nginx, Ran, Spec, tools};

const SPEC: &str = "policy: {input: drop, output: drop}
services:
  web: {listen: \"203.0.113.5:80\", stateless: true}
  dns: {listen: \"*:53\", protocol: udp}
";

/// `fwc apply` of a spec text to the server.
fn apply(link: &Link, yaml: &str) -> Ran {
    let spec = Spec::new(yaml);
    let mut command = command(&["apply", &spec.path(), "--netns", link.server.name(), "--format", "json"]);
    tools::run(command.env("FWC_STATE_DIR", link.server.state_dir()), "")
}

/// The message of the one warning with this code. The apply has loaded.
#[track_caller]
fn warning(ran: &Ran, code: &str) -> Option<String> {
    assert_eq!(ran.status, 0, "{ran}");
    if ran.stderr.is_empty() {
        return None;
    }
    let document: Value = serde_json::from_str(&ran.stderr).unwrap_or_else(|error| panic!("{error}: {ran}"));
    let found = document["diagnostics"].as_array().expect("diagnostics");
    let mut messages = found.iter().filter(|found| found["code"] == code).map(|found| {
        assert_eq!(found["severity"], "warning", "{ran}");
        found["message"].as_str().expect("a message").to_owned()
    });
    let first = messages.next();
    assert_eq!(messages.next(), None, "{ran}");
    first
}

#[test]
fn services_without_an_entry_are_listed_in_one_warning() {
    let link = Link::new("unspoken");
    let server = &link.server;
    let _web = Nginx::start_as(
        "httpd",
        server,
        &["203.0.113.5:80", "0.0.0.0:8080", "[2001:db8::5]:8443", "127.0.0.1:9000", "[::1]:9000"],
    );
    let udp = |to: &str| server.enter(|| UdpSocket::bind(to)).expect("a socket");
    // A name server, a time server, a client's socket, one for this host alone.
    let _sockets = [udp("203.0.113.5:53"), udp("0.0.0.0:123"), udp("0.0.0.0:50000"), udp("127.0.0.1:161")];
    let said = warning(&apply(&link, SPEC), "FWC405").expect("a warning");
    assert!(said.starts_with("3 services listen and are in no entry, so no other host reaches them: "), "{said}");
    assert!(said.contains("httpd on 0.0.0.0:8080/tcp") && said.contains("httpd on [2001:db8::5]:8443/tcp"), "{said}");
    assert!(said.contains(" on 0.0.0.0:123/udp"), "{said}");
    for absent in [":80/tcp", ":53/", ":50000/", ":161/", ":9000/"] {
        assert!(!said.contains(absent), "{said}");
    }
    // Entries for all of them, and one that the spec's NAT leads to.
    let whole = format!(
        "{SPEC}  more: {{listen: \"*:8443\", from: 198.51.100.7}}\n  time: {{listen: \"*:123\", protocol: udp}}\n\
         nat:\n  - redirect: {{listen: \"203.0.113.5:81\", to: 8080}}\n"
    )
    .replace(", stateless: true", "");
    assert_eq!(warning(&apply(&link, &whole), "FWC405"), None);
    let open = SPEC.replace("{input: drop, output: drop}", "{input: accept}");
    assert_eq!(warning(&apply(&link, &open), "FWC405"), None);
}

#[test]
fn open_connections_that_would_be_cut_are_counted() {
    let link = Link::new("cut");
    let (server, client) = (&link.server, &link.client);
    let _served = Nginx::start_as("httpd", server, &["203.0.113.5:80", "203.0.113.5:8080"]);
    let _serving = Nginx::start_as("httpd", client, &["203.0.113.7:443"]);
    let to_server = |to: &str| client.enter(|| TcpStream::connect(to)).expect("a connection");
    let _kept = [to_server("203.0.113.5:80")];
    assert_eq!(warning(&apply(&link, SPEC), "FWC408"), None);
    server.fwc(&["remove"]).expect_success("fwc remove");

    let _cut = [to_server("203.0.113.5:8080"), to_server("203.0.113.5:8080")];
    let said = warning(&apply(&link, SPEC), "FWC408").expect("a warning");
    assert!(said.starts_with("this would cut 2 open connections to this host; one is tcp from 203.0.113.7:"), "{said}");
    assert!(said.ends_with("to 203.0.113.5:8080"), "{said}");
    server.fwc(&["remove"]).expect_success("fwc remove");

    let _out = server.enter(|| TcpStream::connect("203.0.113.7:443")).expect("a connection");
    let said = warning(&apply(&link, SPEC), "FWC408").expect("a warning");
    assert!(said.contains("2 open connections to this host and 1 open connection from this host"), "{said}");
    server.fwc(&["remove"]).expect_success("fwc remove");
    // What this host opens itself goes on where output accepts.
    let accepting = SPEC.replace(", output: drop", "");
    let said = warning(&apply(&link, &accepting), "FWC408").expect("a warning");
    assert!(said.contains("2 open connections to this host; "), "{said}");
}

#[test]
fn what_conntrack_knows_goes_on() {
    let link = Link::new("known");
    let (server, client) = (&link.server, &link.client);
    let _served = Nginx::start_as("httpd", server, &["203.0.113.5:8080"]);
    // Conntrack follows what comes.
    server.write_nft("table inet t { chain in { type filter hook input priority 0; ct state new counter; }; }");
    let _kept = client.enter(|| TcpStream::connect("203.0.113.5:8080")).expect("a connection");
    let ran = apply(&link, SPEC);
    assert_eq!(warning(&ran, "FWC408"), None);
    // It is another's that has no entry.
    server.ok(["conntrack", "-F"]);
    let said = warning(&apply(&link, SPEC), "FWC408").expect("a warning");
    assert!(said.contains("1 open connection to this host"), "{said}");
}

/// What has no part in the ruleset's generation is looked at when the state directory is free, not before.
#[test]
fn what_begins_while_another_fwc_is_waited_for_is_seen() {
    let link = Link::new("awaited");
    let server = &link.server;
    let folder = Path::new(server.state_dir()).join("netns").join(server.name());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).expect("the state directory");
    let lock = File::create(folder.join("lock")).expect("the lock's file");
    let lock = Flock::lock(lock, FlockArg::LockExclusiveNonblock).expect("the lock");
    thread::scope(|scope| {
        let applying = scope.spawn(|| apply(&link, SPEC));
        // It has long been waiting then, or at least begun.
        sleep(Duration::from_millis(700));
        let _socket = server.enter(|| UdpSocket::bind("0.0.0.0:123")).expect("a socket");
        drop(lock);
        let said = warning(&applying.join().expect("an apply"), "FWC405").expect("a warning");
        assert!(said.contains(" on 0.0.0.0:123/udp"), "{said}");
    });
}
