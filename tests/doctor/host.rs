//! Real tables: full, healthy, of raw entries, and looked at without rights.

use std::fs;

use serde_json::json;

use super::support::cli::as_nobody;
use super::support::{ConntrackMax, Link, Namespace, Nginx, Spec, Wrk, apply, curl, fwc, try_apply};
use super::{codes, doctor, entries};

/// A stateful filter as an administrator writes it, that lets everything else in as well.
const STATEFUL: &str = "
table inet filter {
    chain input {
        type filter hook input priority filter; policy accept;
        ct state established,related accept
        ct state invalid drop
    }
}
";

/// Puts entries into the table: `count` flows that differ in the source port.
fn insert(namespace: &Namespace, count: u16, words: &str) {
    let line = |port: u16| format!("-A {} -t 600\n", words.replace("PORT", &port.to_string()));
    let lines: String = (0..count).map(|number| line(40_000 + number)).collect();
    namespace.run_with(["conntrack", "-R", "-"], &lines).expect_success("conntrack -R");
}

#[test]
fn a_full_table_is_found_explained_and_cured_by_the_proposed_spec() {
    let _limit = ConntrackMax::lower(512);
    let link = Link::new("full");
    let server = &link.server;
    let _nginx = Nginx::start(server, &["203.0.113.5:80"]);
    server.write_nft(STATEFUL);
    let load = Wrk::start(&link.client, "http://203.0.113.5/", 6);
    // The table is full once a packet was lost for want of room.
    while server.conntrack_stat()["drop"] == 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let (document, status, codes) = doctor(server);
    load.kill();
    assert_eq!((status, codes[0].as_str()), (1, "FWC420"), "{document:#}");
    assert_eq!(document["table"]["max"], 512);
    assert!(document["counters"]["drop"]["total"].as_u64() > Some(0), "{document:#}");
    assert!(document["log"]["elsewhere"].is_u64(), "root reads the kernel's log: {document:#}");
    let share = document["users"][0]["stateless_frees_percent"].as_u64().expect("a share");
    assert_eq!(document["users"][0]["service"]["port"], 80);
    assert_eq!(document["users"][0]["service"]["process"], "nginx");
    assert!(share > 90, "{document:#}");
    assert_eq!(document["sizing"]["max"], 1 << 18);

    // The spec is clean, and frees the table.
    let before = server.conntrack_count();
    let ran = server.fwc(&["doctor", "--spec"]);
    // A script may go on, whatever else was found.
    assert_eq!(ran.status, 0, "{ran}");
    assert_eq!(ran.stdout, document["proposal"]["spec"].as_str().expect("a spec"));
    let spec = Spec::new(&ran.stdout);
    let checked = fwc(&["check", &spec.path()]);
    assert_eq!((checked.status, checked.stderr.contains("ok")), (0, true), "{checked}");
    let applied = try_apply(server, &spec, &["--format", "json"]);
    assert_eq!(applied.status, 0, "{applied}");
    let after = server.conntrack_count();
    assert!(after * 10 <= before, "{after} of {before} entries are left");
    let drops = server.conntrack_stat()["drop"];
    let cured = Wrk::run(&link.client, "http://203.0.113.5/", 1);
    assert_eq!((cured.lost(), server.conntrack_stat()["drop"]), (0, drops), "{cured:?}");
    let (document, status, codes) = doctor(server);
    assert_eq!((status, codes), (1, vec!["FWC421".to_owned()]), "it has been full: {document:#}");
}

#[test]
fn a_host_that_does_not_track_is_healthy() {
    let link = Link::new("healthy");
    let (document, status, codes) = doctor(&link.server);
    assert_eq!((status, codes.len()), (0, 0), "{document:#}");
    assert_eq!(document["proposal"]["spec"], json!(null), "{document:#}");
    let ran = link.server.fwc(&["doctor", "--spec"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (1, ""), "a script must not take nothing for a spec: {ran}");
    assert!(ran.stderr.starts_with("fwc: there is no spec to propose"), "{ran}");
    let _nginx = Nginx::start(&link.server, &["203.0.113.5:80"]);
    link.server.write_nft(STATEFUL);
    curl(&link.client, "http://203.0.113.5/").expect("an answer");
    let (document, status, _) = doctor(&link.server);
    assert_eq!((status, entries(&document, "tcp 80 (nginx)")), (0, Some(1)), "{document:#}");
    assert_eq!(document["sizing"], json!(null), "nothing to change");
    let human = link.server.fwc(&["doctor"]);
    assert!(human.stdout.starts_with("conntrack table: healthy\n") && human.stderr.is_empty(), "{human}");
}

#[test]
fn every_entry_is_counted_once_where_it_belongs() {
    let link = Link::new("counted");
    let server = &link.server;
    let _nginx = Nginx::start(server, &["0.0.0.0:80", "[2001:db8::5]:80", "203.0.113.5:81"]);
    insert(server, 40, "-s 203.0.113.7 -d 203.0.113.5 -p tcp --sport PORT --dport 80 --state TIME_WAIT");
    insert(server, 20, "-s 2001:db8::7 -d 2001:db8::5 -p tcp --sport PORT --dport 80 --state ESTABLISHED");
    insert(server, 10, "-s 203.0.113.7 -d 203.0.113.5 -p tcp --sport PORT --dport 81 --state SYN_SENT");
    insert(server, 9, "-s 203.0.113.7 -d 203.0.113.5 -p tcp --sport PORT --dport 82 --state CLOSE");
    insert(server, 8, "-s 203.0.113.5 -d 9.9.9.9 -p udp --sport PORT --dport 53 -u SEEN_REPLY");
    insert(server, 7, "-s 198.51.100.1 -d 198.51.100.2 -p udp --sport PORT --dport 53");
    insert(server, 6, "-s 127.0.0.1 -d 127.0.0.1 -p tcp --sport PORT --dport 80 --state ESTABLISHED");
    let rules = server.ruleset();
    let (document, status, _) = doctor(server);
    assert_eq!(status, 0, "{document:#}");
    for (title, count) in [
        ("tcp 80 (nginx)", Some(60)),
        ("tcp 81 (nginx)", Some(10)),
        ("tcp, nobody listens", Some(9)),
        ("to udp 53 elsewhere", Some(8)),
        ("routed to udp 53", Some(7)),
        ("this host with itself", Some(6)),
        ("tcp 22", None),
    ] {
        assert_eq!(entries(&document, title), count, "{title}: {document:#}");
    }
    assert_eq!(document["table"]["count"], 100);
    let states = document["states"].as_array().expect("states").iter();
    let states: Vec<_> =
        states.map(|state| (state["state"].as_str().unwrap(), state["entries"].as_u64().unwrap())).collect();
    let expected = [
        ("tcp time_wait", 40),
        ("tcp established", 26),
        ("tcp syn_sent", 10),
        ("tcp close", 9),
        ("udp replied", 8),
        ("udp unreplied", 7),
    ];
    assert_eq!(states, expected);
    // What is proposed goes through, and takes away what it said.
    let spec = Spec::new(document["proposal"]["spec"].as_str().expect("a spec"));
    let frees = document["proposal"]["frees"].as_u64().expect("a figure");
    assert_eq!(frees, 60 + 10 + 8 + 6, "{document:#}");
    // Looking has changed nothing.
    assert_eq!((server.ruleset(), server.conntrack_count()), (rules, 100));
    let applied = try_apply(server, &spec, &["--format", "json"]).expect_success("fwc apply");
    let applied: serde_json::Value = serde_json::from_str(&applied).expect("a document");
    assert_eq!((applied["stale_entries_deleted"].as_u64(), server.conntrack_count()), (Some(frees), 100 - frees));
}

/// Applied beside a spec that is loaded, the proposal must not open what that one closes.
#[test]
fn a_host_that_fwc_guards_is_not_opened_by_the_proposal() {
    let link = Link::new("loaded");
    let server = &link.server;
    let _nginx = Nginx::start(server, &["203.0.113.5:80", "203.0.113.5:81"]);
    apply(server, "services: {web: {listen: \"203.0.113.5:80\"}}\n");
    insert(server, 40, "-s 203.0.113.7 -d 203.0.113.5 -p tcp --sport PORT --dport 80 --state TIME_WAIT");
    let (document, ..) = doctor(server);
    assert_eq!(document["proposal"]["beside_loaded"], true);
    let spec = document["proposal"]["spec"].as_str().expect("a spec");
    assert!(spec.starts_with("# fwc has loaded a spec on this host") && !spec.contains("policy"), "{spec}");
    apply(server, spec);
    assert_eq!(curl(&link.client, "http://203.0.113.5/").as_deref(), Ok("served\n"));
    assert!(curl(&link.client, "http://203.0.113.5:81/").is_err(), "the host is open");
    assert_eq!(server.conntrack_entries(&["-p", "tcp", "--dport", "80"]).len(), 0);
}

#[test]
fn nobody_is_told_what_nobody_may_see() {
    let link = Link::new("nobody");
    link.server.write_nft(STATEFUL);
    insert(&link.server, 5, "-s 203.0.113.7 -d 203.0.113.5 -p udp --sport PORT --dport 53");
    let ran = link.server.enter(|| as_nobody(&[], &["doctor", "--format", "json"], ""));
    assert_eq!((ran.status, codes(&ran).len()), (0, 0), "{ran}");
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).expect("a document");
    assert_eq!((&document["table"]["count"], &document["users"]), (&json!(5), &json!(null)), "{document:#}");
    let unseen: Vec<&str> =
        document["unseen"].as_array().expect("a list").iter().map(|part| part["what"].as_str().unwrap()).collect();
    assert!(unseen.contains(&"the entries of the table") && unseen.contains(&"NAT rules in nf_tables"), "{unseen:?}");
    let restricted = fs::read_to_string("/proc/sys/kernel/dmesg_restrict").is_ok_and(|text| text.trim() == "1");
    assert_eq!(unseen.contains(&"the kernel's log"), restricted, "{unseen:?}");
    let human = link.server.enter(|| as_nobody(&[], &["doctor"], ""));
    assert!(human.stdout.contains("\nnot seen:\n  the"), "{human}");
}

#[test]
fn a_host_that_cannot_be_read_ends_with_3() {
    let ran = fwc(&["doctor", "--netns", "no-such-namespace"]);
    assert_eq!((ran.status, ran.stdout.as_str()), (3, ""), "{ran}");
    assert!(ran.stderr.contains("FWC505"), "{ran}");
    let ran = fwc(&["doctor", "--interval", "never"]);
    assert!(ran.status == 2 && ran.stderr.contains("1m30s"), "{ran}");
}
