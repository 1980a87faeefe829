//! A draft as a spec's text.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::Draft;
use super::atom::{Section, Target};
use super::merge::{Entry, Server};
use super::nat::Item;
use crate::dump::TranslationKind;
use crate::net::{AddrRange, AddressSet, Family, PortSet, Protocol, RangeSet};
use crate::source::{Place, Sources};
use crate::spec::Fate;

/// Longer lists become sets.
const SHORT: usize = 3;
/// As many addresses stand on one line of a set.
const WIDE: usize = 6;

/// The text of a spec without its header, ending in a newline.
pub(super) fn of(draft: &Draft, sources: &Sources) -> String {
    let mut writer = Writer { draft, sources, sets: Vec::new(), known: HashMap::new(), often: HashSet::new() };
    writer.count();
    let mut body = String::new();
    let block = writer.block();
    let sections = [(Section::Services, "services"), (Section::Clients, "clients"), (Section::Forward, "forward")];
    for (section, title) in sections {
        let mut used = HashSet::new();
        for entry in draft.entries.iter().filter(|entry| entry.section == section) {
            if used.is_empty() {
                let _ = writeln!(body, "{title}:");
            }
            let line = writer.entry(entry, &mut used);
            body.push_str(&line);
        }
    }
    if !draft.nat.is_empty() {
        body.push_str("nat:\n");
        for item in &draft.nat {
            let line = writer.nat(item);
            body.push_str(&line);
        }
    }
    writer.head() + &block + &body
}

struct Writer<'a> {
    draft: &'a Draft,
    sources: &'a Sources,
    sets: Vec<(String, Vec<AddrRange>)>,
    known: HashMap<Vec<AddrRange>, String>,
    /// Lists that stand in more than one place.
    often: HashSet<Vec<AddrRange>>,
}

impl Writer<'_> {
    fn head(&self) -> String {
        let word = |fate: Fate| if fate == Fate::Accept { "accept" } else { "drop" };
        let mut text = String::new();
        let stateless = self.draft.entries.iter().any(|entry| entry.stateless);
        if stateless && !self.draft.nat.is_empty() {
            text.push_str("nat_conflict: overlap\n");
        }
        let _ = write!(text, "policy: {{input: {}, output: {}", word(self.draft.input), word(self.draft.output));
        if let Some(fate) = self.draft.forward {
            let _ = write!(text, ", forward: {}", word(fate));
        }
        text.push_str("}\n");
        if self.draft.ping {
            text.push_str("icmp: {ping: true}\n");
        }
        if !self.sets.is_empty() {
            text.push_str("sets:\n");
        }
        for (name, ranges) in &self.sets {
            let items: Vec<String> = ranges.iter().map(quoted).collect();
            let lines: Vec<String> = items.chunks(WIDE).map(|line| line.join(", ")).collect();
            let _ = writeln!(text, "  {name}: [{}]", lines.join(",\n    "));
        }
        text
    }

    fn block(&mut self) -> String {
        let ranges = ranges(&self.draft.block);
        if ranges.is_empty() {
            return String::new();
        }
        let list = self.list(&ranges, "blocked");
        format!("block: {list}{}\n", self.lines(&self.draft.block_places))
    }

    /// Notes the lists of sources that more than one entry has.
    fn count(&mut self) {
        let mut seen = HashSet::new();
        for entry in &self.draft.entries {
            let list = from(entry).unwrap_or_default();
            if list.len() > 1 && !seen.insert(list.clone()) {
                self.often.insert(list);
            }
        }
    }

    /// A list of addresses, or the set that it is.
    fn list(&mut self, ranges: &[AddrRange], name: &str) -> String {
        if ranges.len() > SHORT || self.often.contains(ranges) {
            return self.set(ranges, name);
        }
        match ranges {
            [one] => quoted(one),
            more => format!("[{}]", more.iter().map(quoted).collect::<Vec<_>>().join(", ")),
        }
    }

    /// The name of a set with these addresses, with its `$`.
    fn set(&mut self, ranges: &[AddrRange], name: &str) -> String {
        if let Some(known) = self.known.get(ranges) {
            return format!("${known}");
        }
        let taken: HashSet<String> = self.sets.iter().map(|(name, _)| name.clone()).collect();
        let name = free(name, &taken);
        self.sets.push((name.clone(), ranges.to_vec()));
        self.known.insert(ranges.to_vec(), name.clone());
        format!("${name}")
    }

    fn entry(&mut self, entry: &Entry, used: &mut HashSet<String>) -> String {
        let first = entry.servers.first();
        let wanted = match &entry.name {
            Some(name) => name.to_string(),
            None => super::name::of_ports(&entry.protocols, first.and_then(|server| server.ports.as_ref())),
        };
        let name = free(&wanted, used);
        used.insert(name.clone());
        let key = if entry.section == Section::Services { "listen" } else { "to" };
        let mut text = format!("  {name}: {{{key}: {}", self.servers(entry, &name));
        text += &protocol(&entry.protocols);
        if let Some(list) = from(entry) {
            let _ = write!(text, ", from: {}", self.list(&list, &format!("{name}-from")));
        }
        match entry.interfaces.as_slice() {
            [] => {}
            [one] => {
                let _ = write!(text, ", interface: {}", plain(one));
            }
            more => {
                let names: Vec<String> = more.iter().map(|name| plain(name)).collect();
                let _ = write!(text, ", interface: [{}]", names.join(", "));
            }
        }
        if let Some(ports) = &entry.local_ports
            && ports.ranges() != PortSet::linux_ephemeral().ranges()
        {
            let _ = write!(text, ", local_ports: \"{}\"", numbers(ports));
        }
        if entry.stateless {
            text.push_str(", stateless: true");
        }
        let lines = self.lines(&entry.places);
        text + "}" + &lines + "\n"
    }

    fn servers(&mut self, entry: &Entry, name: &str) -> String {
        let mut items: Vec<String> = Vec::new();
        let mut done: Vec<&Option<RangeSet<u16>>> = Vec::new();
        for server in &entry.servers {
            if done.contains(&&server.ports) {
                continue;
            }
            done.push(&server.ports);
            let alike: Vec<&Server> = entry.servers.iter().filter(|other| other.ports == server.ports).collect();
            let any: Vec<Family> = alike.iter().filter(|one| one.targets.is_none()).map(|one| one.family).collect();
            let suffix = server.ports.as_ref().map_or(String::new(), |ports| format!(":{}", numbers(ports)));
            items.extend(self.anybody(entry, &any, &suffix));
            let targets: Vec<Target> = alike.iter().filter_map(|one| one.targets.clone()).flatten().collect();
            let strict = entry.section == Section::Services && entry.stateless;
            items.extend(self.targets(&targets, strict, &suffix, &format!("{name}-hosts")));
        }
        bracketed(items)
    }

    /// Any address, of one family or both.
    fn anybody(&self, entry: &Entry, families: &[Family], suffix: &str) -> Vec<String> {
        let exists = |family| {
            let has = |number: &u8| number.to_string().parse::<Protocol>().is_ok_and(|one| one.exists_in(family));
            self.draft.families.contains(&family) && entry.protocols.iter().any(has)
        };
        // Sources of one family only leave nothing of the other; but tracking does not ask for sources.
        let narrowed = |family: Family| {
            !entry.stateless
                && entry.peers.iter().all(|(of, peers)| *of == family && peers.is_some())
                && entry.servers.iter().all(|server| server.family == family)
        };
        let all = |family: Family| {
            families.contains(&family) || !exists(family) || families.iter().any(|&only| narrowed(only))
        };
        if families.is_empty() {
            Vec::new()
        } else if Family::BOTH.into_iter().all(all) {
            vec![format!("\"*{suffix}\"")]
        } else if families.contains(&Family::V4) {
            vec![format!("\"0.0.0.0/0{suffix}\"")]
        } else {
            vec![format!("\"{}{suffix}\"", if suffix.is_empty() { "::/0" } else { "[::/0]" })]
        }
    }

    /// Single addresses that mean this host's only are written as a set; long lists too.
    fn targets(&mut self, targets: &[Target], strict: bool, suffix: &str, name: &str) -> Vec<String> {
        let direct = |target: &&Target| target.anywhere || !strict || target.range.as_host().is_none();
        let (mut alone, mut together): (Vec<AddrRange>, Vec<AddrRange>) = (Vec::new(), Vec::new());
        let many = targets.iter().filter(|target| !(strict && target.anywhere)).count() > SHORT;
        for target in targets {
            if direct(&target) && !(many && !(strict && target.anywhere)) {
                alone.push(target.range);
            } else {
                together.push(target.range);
            }
        }
        let mut items: Vec<String> = alone.iter().map(|range| endpoint(range, suffix)).collect();
        if !together.is_empty() {
            together.sort_unstable();
            together.dedup();
            items.push(format!("\"{}{suffix}\"", self.set(&together, name)));
        }
        items
    }

    fn nat(&mut self, item: &Item) -> String {
        let mut text = String::new();
        let place = self.lines(&item.places);
        let translation = &item.translation;
        let kind = match translation.kind {
            TranslationKind::Masquerade => "masquerade",
            TranslationKind::Snat => "snat",
            TranslationKind::Dnat => "dnat",
            TranslationKind::Redirect | TranslationKind::Netmap => "redirect",
        };
        let _ = write!(text, "  - {kind}: {{");
        if let Some(out) = &item.out {
            let _ = write!(text, "out: {}", plain(out));
            let list = match &item.from {
                Some(from) => ranges(from),
                None if item.families == self.draft.families || translation.address.is_some() => Vec::new(),
                None => item.families.iter().map(|&family| whole(family)).collect(),
            };
            if !list.is_empty() {
                let _ = write!(text, ", from: {}", self.list(&list, "translated"));
            }
            if let Some((to, _)) = translation.address {
                let _ = write!(text, ", to: \"{to}\"");
            }
        } else {
            let suffix = item.ports.as_ref().map_or(String::new(), |ports| format!(":{}", numbers(ports)));
            let listen = match &item.targets {
                Some(targets) => self.targets(targets, true, &suffix, "translated"),
                None => vec![format!("\"*{suffix}\"")],
            };
            let _ = write!(text, "listen: {}{}", bracketed(listen), protocol(&item.protocols));
            let _ = write!(text, ", to: {}", super::nat::target(translation));
        }
        text + "}" + &place + "\n"
    }

    /// A comment with the lines of rules.
    fn lines(&self, places: &[Place]) -> String {
        let mut by_file: Vec<(&str, Vec<usize>)> = Vec::new();
        for &place in places {
            let at = self.sources.position(place);
            match by_file.iter_mut().find(|(name, _)| *name == at.name) {
                Some((_, lines)) => lines.push(at.line),
                None => by_file.push((at.name, vec![at.line])),
            }
        }
        let told: Vec<String> = by_file
            .iter_mut()
            .map(|(name, lines)| {
                lines.sort_unstable();
                lines.dedup();
                let name = name.rsplit('/').next().unwrap_or(name);
                format!("{name}:{}", spans(lines))
            })
            .collect();
        if told.is_empty() { String::new() } else { format!("   # {}", told.join(" ")) }
    }
}

/// Numbers, neighbours taken together.
fn spans(lines: &[usize]) -> String {
    let mut text = String::new();
    for group in lines.chunk_by(|a, b| a + 1 == *b) {
        let comma = if text.is_empty() { "" } else { "," };
        match group {
            [first, .., last] => {
                let _ = write!(text, "{comma}{first}-{last}");
            }
            [one] => {
                let _ = write!(text, "{comma}{one}");
            }
            [] => {}
        }
    }
    text
}

/// The sources of an entry; `None` is anybody.
fn from(entry: &Entry) -> Option<Vec<AddrRange>> {
    if entry.peers.iter().all(|(_, peers)| peers.is_none()) {
        return None;
    }
    let of = |(family, peers): &(Family, Option<AddressSet>)| match peers {
        Some(peers) => ranges(peers),
        None => vec![whole(*family)],
    };
    let mut list: Vec<AddrRange> = entry.peers.iter().flat_map(of).collect();
    list.sort_unstable();
    list.dedup();
    Some(list)
}

fn ranges(set: &AddressSet) -> Vec<AddrRange> {
    Family::BOTH.into_iter().flat_map(|family| set.ranges(family)).collect()
}

fn whole(family: Family) -> AddrRange {
    match family {
        Family::V4 => AddrRange::V4(0, u32::MAX),
        Family::V6 => AddrRange::V6(0, u128::MAX),
    }
}

fn protocol(numbers: &[u8]) -> String {
    let names: Vec<String> = numbers
        .iter()
        .filter_map(|number| number.to_string().parse::<Protocol>().ok())
        .map(|protocol| protocol.to_string())
        .collect();
    match names.as_slice() {
        [one] if one == "tcp" => String::new(),
        [one] => format!(", protocol: {one}"),
        more => format!(", protocol: [{}]", more.join(", ")),
    }
}

fn numbers(ports: &RangeSet<u16>) -> String {
    let one = |&(first, last): &(u16, u16)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    ports.ranges().iter().map(one).collect::<Vec<_>>().join(",")
}

fn endpoint(range: &AddrRange, suffix: &str) -> String {
    if range.family() == Family::V6 && !suffix.is_empty() {
        format!("\"[{range}]{suffix}\"")
    } else {
        format!("\"{range}{suffix}\"")
    }
}

fn bracketed(items: Vec<String>) -> String {
    match items.as_slice() {
        [one] => one.clone(),
        more => format!("[{}]", more.join(", ")),
    }
}

fn quoted(range: &AddrRange) -> String {
    if range.family() == Family::V6 { format!("\"{range}\"") } else { range.to_string() }
}

/// A scalar that YAML reads as a string.
fn plain(text: &str) -> String {
    let safe = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "on" | "off" | "yes" | "no" | "y" | "n" | "true" | "false" | "null"
        );
    if safe { text.to_string() } else { format!("\"{text}\"") }
}

/// A name that is not taken, at most 32 characters long.
fn free(wanted: &str, taken: &HashSet<String>) -> String {
    let cut = |length: usize| wanted.chars().take(length).collect::<String>();
    let name = cut(32);
    if !taken.contains(&name) {
        return name;
    }
    (2..).map(|number| format!("{}-{number}", cut(26))).find(|name| !taken.contains(name)).unwrap_or(name)
}
