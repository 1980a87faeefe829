//! A spec that takes what fills the table out of it, where NAT allows that.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use serde::Serialize;

use super::{Facts, Group, Service, Usage, Who, percent};
use crate::compile::check_text;
use crate::net::{Name, Protocol};
use crate::policy::footprint::{led_into, touched};

/// Entries are proposed for whoever holds this part of the table, hundredths.
const WORTH: u64 = 5;
/// The most entries that a proposal has.
const MOST: usize = 10;

/// What could be stateless. The spec drops nothing by itself: what other rules drop, they still drop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub(super) struct Proposal {
    /// A spec, ready to be applied; none where nothing is worth it, or NAT forbids it all.
    pub spec: Option<String>,
    /// fwc has loaded a spec here already: the entries belong into that one, which this would replace.
    pub beside_loaded: bool,
    /// The entries that it frees.
    pub frees: u64,
    /// The same in hundredths of all.
    pub frees_percent: u64,
    /// Who holds much of the table and must stay tracked, because of NAT.
    pub barred: Vec<Barred>,
}

/// Somebody who must stay tracked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Barred {
    /// As in `tcp 80 (nginx)`.
    pub who: String,
    /// Hundredths of the entries.
    pub percent: u64,
    /// The NAT rules that touch its flows.
    pub rules: Vec<String>,
}

/// Something that may become an entry of the spec.
struct Candidate {
    section: &'static str,
    stem: String,
    /// The words behind the endpoints.
    rest: String,
    key: &'static str,
    port: u16,
    /// Endpoints' addresses, the tightest last. The first that NAT leaves alone is taken.
    choices: Vec<Vec<String>>,
}

pub(super) fn propose(facts: &Facts) -> Proposal {
    let Some(usage) = &facts.usage else { return Proposal::default() };
    let mut proposal = Proposal::default();
    let mut sections: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut names = BTreeSet::new();
    for group in usage.groups.iter().filter(|group| percent(group.entries, usage.entries) >= WORTH).take(MOST) {
        let Some(candidate) = candidate(group, usage, facts) else { continue };
        match choose(&candidate, facts) {
            Ok(addresses) => {
                let line = candidate.line(&unique(&candidate, &mut names), addresses);
                sections.entry(candidate.section).or_default().push(line);
                proposal.frees += group.entries;
            }
            // Where no rule is in the way the endpoint itself cannot be said in a spec.
            Err(rules) if rules.is_empty() => {}
            Err(rules) => {
                let (who, percent) = (usage.title(group.who), percent(group.entries, usage.entries));
                proposal.barred.push(Barred { who, percent, rules });
            }
        }
    }
    // What is proposed has to be taken; a spec that is not is no proposal.
    proposal.spec = text(&sections, facts);
    proposal.beside_loaded = facts.loaded;
    if proposal.spec.is_none() {
        return Proposal { barred: proposal.barred, ..Proposal::default() };
    }
    // Once anything is stateless, the host's talk with itself is not tracked either.
    let loopback = usage.groups.iter().find(|group| group.who == Who::Loopback && facts.nat.is_empty());
    proposal.frees += loopback.map_or(0, |group| group.entries);
    proposal.frees_percent = percent(proposal.frees, usage.entries);
    proposal
}

fn text(sections: &BTreeMap<&str, Vec<String>>, facts: &Facts) -> Option<String> {
    let mut text = if facts.loaded { LOADED.to_string() } else { "policy: {input: accept}\n".to_string() };
    if !facts.nat.is_empty() {
        text.push_str(BESIDE_NAT);
    }
    for section in ["services", "clients"] {
        if let Some(lines) = sections.get(section) {
            let _ = writeln!(text, "{section}:\n{}", lines.join("\n"));
        }
    }
    let is_clean = || check_text("proposal", &text, Path::new("")).diagnostics.is_empty();
    (!sections.is_empty() && is_clean()).then_some(text)
}

/// Without a policy, which would open what the loaded spec closes.
const LOADED: &str = "\
# fwc has loaded a spec on this host. Make these stateless in that one;
# applied by itself, this would take its place.
";
const BESIDE_NAT: &str = "nat_conflict: overlap\n";

fn candidate(group: &Group, usage: &Usage, facts: &Facts) -> Option<Candidate> {
    match group.who {
        Who::Service(index) => {
            let service = usage.services.get(index).filter(|service| !service.is_internal())?;
            Some(of_service(service, group))
        }
        Who::Outgoing(number, port) => {
            let protocol = Protocol::numbered(number).filter(|protocol| protocol.has_ports() && port > 0)?;
            of_client(protocol, port, group, facts)
        }
        _ => None,
    }
}

fn of_service(service: &Service, group: &Group) -> Candidate {
    let Service { protocol, port, addresses, process } = service;
    let tight: Vec<String> = group.servers.iter().flat_map(|servers| servers.keys().map(endpoint)).collect();
    let choices = if addresses.iter().any(IpAddr::is_unspecified) {
        vec![vec!["*".to_string()], tight]
    } else {
        vec![addresses.iter().filter(|address| !address.is_loopback()).map(endpoint).collect()]
    };
    let stem = process.clone().unwrap_or_else(|| protocol.to_string());
    let rest = protocol_words(*protocol);
    Candidate { section: "services", stem, rest, key: "listen", port: *port, choices }
}

fn of_client(protocol: Protocol, port: u16, group: &Group, facts: &Facts) -> Option<Candidate> {
    let (low, high) = facts.local_ports;
    // Somebody who binds a port of their own is not understood well enough.
    if group.local_ports.0 < low || group.local_ports.1 > high {
        return None;
    }
    let to = group.servers.as_ref().map_or_else(|| vec!["*".to_string()], |all| all.keys().map(endpoint).collect());
    let mut rest = protocol_words(protocol);
    if (low, high) != (32768, 60999) {
        let _ = write!(rest, ", local_ports: {low}-{high}");
    }
    Some(Candidate { section: "clients", stem: "to".to_string(), rest, key: "to", port, choices: vec![to] })
}

fn protocol_words(protocol: Protocol) -> String {
    if protocol == Protocol::TCP { String::new() } else { format!(", protocol: {protocol}") }
}

fn endpoint(address: &IpAddr) -> String {
    if address.is_ipv6() { format!("[{address}]") } else { address.to_string() }
}

/// The first choice of addresses that no NAT rule touches; otherwise the rules that touch the last.
fn choose<'a>(candidate: &'a Candidate, facts: &Facts) -> Result<&'a [String], Vec<String>> {
    let mut touching = Vec::new();
    for addresses in candidate.choices.iter().filter(|addresses| !addresses.is_empty()) {
        let text = format!("{BESIDE_NAT}{}:\n{}\n", candidate.section, candidate.line("it", addresses));
        let Some(compiled) = check_text("proposal", &text, Path::new("")).compiled else { continue };
        let policy = &compiled.policy;
        let touches = |rule: &&super::NatRule| {
            let led = || rule.target.as_ref().and_then(|target| led_into(policy, &rule.footprint, target));
            touched(&rule.footprint, policy).or_else(led).is_some()
        };
        touching = facts.nat.iter().filter(touches).map(|rule| rule.text.clone()).collect();
        if touching.is_empty() {
            return Ok(addresses);
        }
    }
    Err(touching)
}

impl Candidate {
    fn line(&self, name: &str, addresses: &[String]) -> String {
        let endpoints: Vec<String> = addresses.iter().map(|address| format!("\"{address}:{}\"", self.port)).collect();
        let endpoints = match endpoints.as_slice() {
            [one] => one.clone(),
            _ => format!("[{}]", endpoints.join(", ")),
        };
        format!("  {name}: {{{}: {endpoints}{}, stateless: true}}", self.key, self.rest)
    }
}

/// A name that nobody has yet, of the process's name and the port.
fn unique(candidate: &Candidate, names: &mut BTreeSet<String>) -> String {
    let plain = |character: char| {
        let lower = character.to_ascii_lowercase();
        if lower.is_ascii_lowercase() || lower.is_ascii_digit() || lower == '_' { lower } else { '-' }
    };
    let stem: String = candidate.stem.chars().map(plain).take(16).collect();
    let base = format!("{}-{}", stem.trim_matches('-'), candidate.port);
    let base = if base.parse::<Name>().is_ok() { base } else { format!("port-{}", candidate.port) };
    let numbered = (2..).map(|number| format!("{base}-{number}"));
    let name = std::iter::once(base.clone()).chain(numbered).find(|name| !names.contains(name)).unwrap_or(base);
    names.insert(name.clone());
    name
}
