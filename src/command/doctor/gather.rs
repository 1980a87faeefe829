//! What can be found out about a host, with whatever rights there are.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::host_failure;
use crate::doctor::{Facts, NatRule, Service, Table, Tally, Unseen, Usage};
use crate::dump::{live, nat};
use crate::kernel::conntrack::{self, Statistics};
use crate::kernel::host::{self, ConntrackTable, local_addresses};
use crate::kernel::socket::Socket;
use crate::kernel::{KernelError, log, sockets, table};
use crate::net::Seconds;

const SYSCTLS: &str = "/proc/sys/net";
const COUNT: &str = "/proc/sys/net/netfilter/nf_conntrack_count";

/// Looks twice, and reads everything else meanwhile.
pub(super) fn facts(interval: Seconds) -> Result<Facts, Diagnostic> {
    let mut unseen = Vec::new();
    let begin = Instant::now();
    let before = look(&mut unseen)?;
    let mut facts = Facts {
        table: None,
        interval: Duration::ZERO,
        counters: None,
        log: None,
        memory: host::memory(),
        timeouts: conntrack::timeouts(),
        local_ports: host::local_ports(),
        usage: None,
        nat: Vec::new(),
        loaded: false,
        unseen: Vec::new(),
    };
    match log::full_lines() {
        Ok(lines) => facts.log = Some(lines),
        Err(error) => unseen.push(missing("the kernel's log", error)),
    }
    let Some((table, counters)) = before else { return Ok(Facts { unseen, ..facts }) };
    match Socket::open() {
        Ok(mut socket) => through(&mut socket, &mut facts, &mut unseen),
        Err(error) => unseen.push(missing("entries and NAT rules", error)),
    }
    sleep(Duration::from_secs(u64::from(interval.0)).saturating_sub(begin.elapsed()));
    facts.interval = begin.elapsed();
    // What could not be seen the first time is told already.
    if let Some((now, counted)) = look(&mut Vec::new())? {
        facts.table = Some(Table { before: table, now });
        facts.counters = counters.zip(counted);
    }
    Ok(Facts { unseen, ..facts })
}

/// The table's figures and the counters; none where the kernel does not track connections.
fn look(unseen: &mut Vec<Unseen>) -> Result<Option<(ConntrackTable, Option<Statistics>)>, Diagnostic> {
    let unreadable = |what: &str, error: &std::io::Error| {
        host_failure::report(format!("{what} cannot be read: {error}"), "is /proc there, and may this user read it?")
    };
    fs::metadata(SYSCTLS).map_err(|error| unreadable(SYSCTLS, &error))?;
    if let Err(error) = fs::read(COUNT) {
        // The sysctls come with the module.
        return if error.kind() == ErrorKind::NotFound { Ok(None) } else { Err(unreadable(COUNT, &error)) };
    }
    let no_table =
        || host_failure::report("the size of the conntrack table cannot be read", "see `sysctl net.netfilter`");
    let table = host::conntrack().ok_or_else(no_table)?;
    let counters = conntrack::statistics().map_err(|error| unseen.push(missing("the counters", error))).ok();
    Ok(Some((table, counters)))
}

/// What the kernel tells over netlink, and only to those with rights.
fn through(socket: &mut Socket, facts: &mut Facts, unseen: &mut Vec<Unseen>) {
    match usage(socket, facts.local_ports) {
        Ok(usage) => facts.usage = Some(usage),
        Err(error) => unseen.push(missing("the entries of the table", error)),
    }
    let live = live::read(socket);
    facts.nat = nat::rules(&live)
        .into_iter()
        .map(|rule| NatRule { footprint: rule.footprint(), text: rule.text, target: rule.target })
        .collect();
    unseen.extend(live.unseen.into_iter().map(|part| missing(&format!("NAT rules in {}", part.what), part.why)));
    // Where this cannot be read, NAT rules could not be read either, and that is told.
    facts.loaded = table::live(socket).is_ok_and(|table| table.is_some());
}

fn usage(socket: &mut Socket, local_ports: (u16, u16)) -> Result<Usage, KernelError> {
    let local: HashSet<IpAddr> = local_addresses().into_iter().map(|local| local.address).collect();
    let empty = Tally::new(services(), local, local_ports);
    let tally = conntrack::each(
        socket,
        || empty.clone(),
        |tally, entry| {
            tally.add(&entry.flow);
            Ok(())
        },
    )?;
    Ok(tally.finish())
}

/// What listens, with all addresses of a port and a process together.
fn services() -> Vec<Service> {
    let mut services: BTreeMap<_, Vec<IpAddr>> = BTreeMap::new();
    for listener in sockets::listeners() {
        let process = listener.process.map(|process| plain(&process.name));
        let key = (listener.protocol, listener.address.port(), process);
        services.entry(key).or_default().push(listener.address.ip());
    }
    let service = |((protocol, port, process), mut addresses): ((_, _, _), Vec<IpAddr>)| {
        addresses.sort();
        addresses.dedup();
        Service { protocol, port, addresses, process }
    };
    services.into_iter().map(service).collect()
}

/// A process may call itself anything.
fn plain(name: &str) -> String {
    name.chars().map(|character| if character.is_ascii_graphic() { character } else { '?' }).collect()
}

fn missing(what: &str, why: impl std::fmt::Display) -> Unseen {
    Unseen { what: what.to_string(), why: why.to_string() }
}
