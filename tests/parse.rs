//! Good specs are read as they are written.

use std::path::Path;

use fwc::net::{AddressPattern, Endpoint};
use fwc::source::{Placed, Sources};
use fwc::spec::{Conntrack, Direction, Fate, Nat, NatConflict, SetSpec, Spec, State, Tracking};

/// Reads a text without mistakes.
#[track_caller]
fn good(text: &str) -> (Spec, Sources) {
    let mut sources = Sources::default();
    let (spec, found) = fwc::parse::read_text("spec.yaml", text, Path::new("examples"), &mut sources);
    assert!(found.is_empty(), "{found:?}");
    (spec.unwrap(), sources)
}

fn shown(endpoints: &[Placed<Endpoint>]) -> Vec<String> {
    endpoints
        .iter()
        .map(|endpoint| {
            let ports = endpoint.value.ports.as_ref().map_or("-".to_string(), ToString::to_string);
            format!("{} {ports}", address(&endpoint.value.address))
        })
        .collect()
}

fn address(pattern: &AddressPattern) -> String {
    match pattern {
        AddressPattern::Any => "*".to_string(),
        AddressPattern::Range(range) => range.to_string(),
        AddressPattern::Set(name) => format!("${name}"),
    }
}

const WHOLE: &str = r#"
version: 1
policy: {input: drop, output: accept}
sets:
  admins: [192.0.2.0/28, "2001:db8:ad::/48"]
  bad:    {file: blocklist.txt}
block: [$bad]
services:
  web:
    listen: 203.0.113.5:80
    stateless: true
  dns:
    listen: ["203.0.113.5:53", "[2001:db8::5]:53"]
    protocol: [udp, tcp]
    stateless: true
    from: [198.51.100.0/24, $admins]
  ssh: {listen: "*:22", from: $admins, interface: eth0}
clients:
  resolver: {to: "9.9.9.9:53", protocol: udp, stateless: true, local_ports: 32768-60999}
forward:
  backend: {to: "10.0.0.8:443", from: 10.1.0.0/16, stateless: true}
nat:
  - masquerade: {out: eth0, from: 10.0.0.0/8}
  - snat: {out: eth0, from: 10.2.0.0/16, to: 203.0.113.9}
  - dnat: {listen: "203.0.113.5:8443", to: "10.0.0.8:443"}
  - redirect: {listen: "203.0.113.5:8080", to: 80}
nat_conflict: overlap
conntrack:
  max: 855360
  buckets: 855360
  timeouts: {tcp_established: 1000s}
icmp: {ping: true}
tests:
  - {packet: "tcp 198.51.100.7:40000 > 203.0.113.5:80 syn", expect: accept, tracking: untracked, reply: true}
  - {packet: "tcp 203.0.113.5:51515 > 192.0.2.80:443 syn", direction: out, state: new, expect: accept, tracking: tracked}
"#;

#[test]
fn every_section() {
    let (spec, _) = good(WHOLE);
    assert_eq!(spec.policy.input.map(|word| word.value), Some(Fate::Drop));
    assert_eq!(spec.policy.output.map(|word| word.value), Some(Fate::Accept));
    assert!(spec.policy.forward.is_none());
    assert!(matches!(&spec.sets[0].value, SetSpec::Inline(items) if items.len() == 2));
    assert!(matches!(&spec.sets[1].value, SetSpec::File { ranges, .. } if !ranges.is_empty()));
    assert_eq!(spec.block.unwrap().value.iter().map(|item| address(&item.value)).collect::<Vec<_>>(), ["$bad"]);
    let names: Vec<&str> = spec.services.iter().map(|entry| entry.name.value.as_str()).collect();
    assert_eq!(names, ["web", "dns", "ssh"]);
    let [web, dns, ssh] = spec.services.as_slice() else { panic!() };
    assert_eq!(web.value.stateless.map(|flag| flag.value), Some(true));
    assert!(web.value.protocols.is_empty() && web.value.from.is_none());
    assert_eq!(shown(&dns.value.listen), ["203.0.113.5 53", "2001:db8::5 53"]);
    assert_eq!(dns.value.protocols.len(), 2);
    assert_eq!(dns.value.from.as_ref().unwrap().value.len(), 2);
    assert_eq!(shown(&ssh.value.listen), ["* 22"]);
    assert_eq!(ssh.value.interfaces[0].value.as_str(), "eth0");
    assert!(ssh.value.stateless.is_none());
    let client = &spec.clients[0].value;
    assert_eq!(client.local_ports.as_ref().unwrap().value.ranges(), [(32768, 60999)]);
    assert_eq!(shown(&spec.forward[0].value.to), ["10.0.0.8 443"]);
    assert_eq!(spec.nat_conflict.map(|word| word.value), Some(NatConflict::Overlap));
    assert_eq!(spec.ping.map(|flag| flag.value), Some(true));
}

#[test]
fn nat_conntrack_and_tests() {
    let (spec, sources) = good(WHOLE);
    let kinds: Vec<&str> = spec.nat.iter().map(|rule| sources.at(rule.place)).collect();
    assert_eq!(kinds, ["masquerade", "snat", "dnat", "redirect"]);
    assert!(matches!(&spec.nat[0].value, Nat::Masquerade { out, from: Some(_) } if out.value.as_str() == "eth0"));
    assert!(matches!(&spec.nat[1].value, Nat::Snat { to, .. } if to.value.to_string() == "203.0.113.9"));
    assert!(matches!(&spec.nat[3].value, Nat::Redirect { to, .. } if to.value.as_single() == Some(80)));
    let Some(Conntrack::Sized { max, buckets, timeouts }) = spec.conntrack.map(|sizes| sizes.value) else { panic!() };
    assert_eq!((max.unwrap().value, buckets.unwrap().value), (855_360, 855_360));
    let timeouts: Vec<(&str, u32)> = timeouts.iter().map(|timeout| (timeout.value.0.0, timeout.value.1.0)).collect();
    assert_eq!(timeouts, [("tcp_established", 1000)]);
    let [first, second] = spec.tests.as_slice() else { panic!() };
    assert_eq!((first.value.direction, first.value.state), (Direction::In, State::New));
    assert_eq!(first.value.tracking.map(|word| word.value), Some(Tracking::Untracked));
    assert_eq!(first.value.reply.map(|flag| flag.value), Some(true));
    assert_eq!(
        (second.value.direction, second.value.expect.map(|word| word.value)),
        (Direction::Out, Some(Fate::Accept))
    );
}

#[test]
fn places_are_those_of_the_tokens() {
    let (spec, sources) = good(WHOLE);
    let dns = &spec.services[1];
    assert_eq!(sources.at(dns.name.place), "dns");
    assert_eq!(sources.at(dns.value.listen[1].place), "[2001:db8::5]:53");
    assert_eq!(sources.at(dns.value.protocols[0].place), "udp");
    assert_eq!(sources.at(spec.services[0].value.stateless.unwrap().place), "true");
    assert_eq!(sources.at(spec.tests[1].place), "tcp 203.0.113.5:51515 > 192.0.2.80:443 syn");
    assert_eq!(sources.position(dns.name.place).to_string(), "spec.yaml:12:3");
}

#[test]
fn other_ways_to_write_the_same() {
    let (spec, sources) = good(
        "\u{feff}services:\r\n  web: &web\r\n    listen: &here [ 203.0.113.5:80 ,\r\n      '203.0.113.6:80']\r\n    \"from\": '*'\r\n  \
         more: {listen: *here, interface: [eth0]}\r\n  twin: *web\r\nconntrack: \"disabled\"\r\nblock: 192.0.2.1",
    );
    let [web, more, twin] = spec.services.as_slice() else { panic!() };
    assert_eq!(shown(&web.value.listen), ["203.0.113.5 80", "203.0.113.6 80"]);
    assert_eq!(shown(&more.value.listen), shown(&web.value.listen));
    assert_eq!(shown(&twin.value.listen), shown(&web.value.listen));
    assert!(web.value.from.is_none(), "* is anyone");
    assert_eq!(sources.at(twin.name.place), "twin");
    assert!(matches!(spec.conntrack.unwrap().value, Conntrack::Disabled));
    assert_eq!(spec.block.unwrap().value.len(), 1);
}

#[test]
fn the_files_of_a_directory_are_one_spec() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "20-b.yaml",
        "version: 1\nservices: {b: {listen: 203.0.113.5:81}}\nblock: 192.0.2.2\npolicy: {output: drop}\n",
    );
    write(
        "10-a.yaml",
        "version: 1\nservices: {a: {listen: 203.0.113.5:80}}\nblock: 192.0.2.1\npolicy: {input: drop}\n",
    );
    write("30-c.yaml", "# nothing\n");
    write(".hidden.yaml", "services: [");
    write("notes.txt", "services: [");
    write("40-d.yaml", "sets: {bad: {file: bad.txt}}\nconntrack: {max: 5}\nclients: {a: {to: '9.9.9.9:53'}}\n");
    write("50-e.yaml", "conntrack: {buckets: 6}\n");
    write("bad.txt", "192.0.2.9\n");
    let mut sources = Sources::default();
    let (spec, found) = fwc::parse::read(folder.path(), &mut sources);
    assert!(found.is_empty(), "{found:?}");
    let spec = spec.unwrap();
    let names: Vec<&str> = spec.services.iter().map(|entry| entry.name.value.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(spec.files.len(), 5);
    assert_eq!(spec.block.unwrap().value.len(), 2);
    assert!(spec.policy.input.is_some() && spec.policy.output.is_some());
    assert!(matches!(&spec.sets[0].value, SetSpec::File { ranges, .. } if ranges.len() == 1));
    let conntrack = spec.conntrack.unwrap().value;
    assert!(matches!(conntrack, Conntrack::Sized { max: Some(_), buckets: Some(_), .. }));
}

#[test]
fn a_mistake_does_not_hide_the_rest() {
    let mut sources = Sources::default();
    let text = "services:\n  web: {listen: [203.0.113.5:80, x], stateless: yes}\n  dns: {listn: 1}\nsets: {bad: [y]}\n";
    let (spec, found) = fwc::parse::read_text("a", text, Path::new(""), &mut sources);
    let codes: Vec<&str> = found.iter().map(|found| found.finding.code).collect();
    assert_eq!(codes, ["FWC109", "FWC106", "FWC103", "FWC109"]);
    let spec = spec.unwrap();
    assert_eq!(shown(&spec.services[0].value.listen), ["203.0.113.5 80"]);
    assert_eq!(spec.services[0].value.stateless.map(|flag| flag.value), Some(true), "read as meant");
    assert!(matches!(&spec.sets[0].value, SetSpec::Inline(items) if items.is_empty()), "the name is known");
    let (spec, found) = fwc::parse::read_text("a", "services: [\n", Path::new(""), &mut sources);
    assert!(spec.is_none() && found.len() == 1);
}
