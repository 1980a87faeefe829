//! Files for iptables-restore, one for each family, and one for `ipset restore` where sets are large.
//!
//! `merge` takes an entry's rules together, `expand` turns them into lines, `dispatch` brings many lines into chains, `members` and `split` say
//! which into which, `ipset` keeps the sets that are too large for lines, `line` is what iptables can say, and `text` writes it.
//!
//! `*filter` stands before `*raw`, because iptables-restore commits table by table: should the filter table fail, nothing is untracked yet.
//! Both stand in every file, so that what an older file left in them goes.

mod dispatch;
mod expand;
mod ipset;
mod line;
mod members;
mod merge;
mod names;
mod split;
mod text;

use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};

use expand::{Expander, can_meet};
use ipset::Ipsets;
use line::{BuiltinChain, Line, Table};
use names::{CHAIN, Names};

use super::Header;
use crate::net::Family;
use crate::ruleset::{Chain, Hook, Origin, Payload, Rule, Ruleset};
use crate::spec::Fate;

/// The files of a ruleset. The same ruleset and header give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// For `iptables-restore`.
    pub v4: String,
    /// For `ip6tables-restore`.
    pub v6: String,
    /// For `ipset restore`, to be loaded before the other two. `None` where no set is too large to be written out as rules.
    pub ipset: Option<String>,
}

/// The name of the file that [`Artifacts::v4`] is written to.
pub const V4_FILE: &str = "rules.v4";
/// The name of the file that [`Artifacts::v6`] is written to.
pub const V6_FILE: &str = "rules.v6";
/// The name of the file that [`Artifacts::ipset`] is written to.
pub const IPSET_FILE: &str = "rules.ipset";

/// A table, and which hook stands behind each of its chains.
type Layout = (&'static str, &'static [(&'static str, Option<Hook>)]);

const FILTER: Layout =
    ("filter", &[("INPUT", Some(Hook::Input)), ("FORWARD", Some(Hook::Forward)), ("OUTPUT", Some(Hook::Output))]);
const RAW: Layout = ("raw", &[("PREROUTING", Some(Hook::RawPrerouting)), ("OUTPUT", Some(Hook::RawOutput))]);
const NAT: Layout = (
    "nat",
    &[
        ("PREROUTING", Some(Hook::NatPrerouting)),
        ("INPUT", None),
        ("OUTPUT", None),
        ("POSTROUTING", Some(Hook::NatPostrouting)),
    ],
);

/// Writes a ruleset as files.
#[must_use]
pub fn artifacts(ruleset: &Ruleset, header: &Header) -> Artifacts {
    let layouts = layouts(ruleset);
    let ipsets = ipsets(ruleset, layouts);
    let mut files = Family::BOTH.map(|family| file_head(header, family, layouts, ipsets.is_needed()));
    for tables in tables(ruleset, layouts, &ipsets) {
        for (file, table) in files.iter_mut().zip(tables) {
            table.write(file);
        }
    }
    let [v4, v6] = files;
    Artifacts { v4, v6, ipset: ipsets.text().map(|sets| ipset_file(header, &sets)) }
}

/// The ipsets of both files, in the order in which they are needed.
fn ipsets(ruleset: &Ruleset, layouts: &[Layout]) -> Ipsets {
    let mut ipsets = Ipsets::new();
    for family in Family::BOTH {
        let hooks = layouts.iter().flat_map(|(_, chains)| chains.iter());
        let chains = hooks.filter_map(|&(_, hook)| behind(ruleset, hook));
        for rule in chains.flat_map(|chain| &chain.rules).filter(|rule| can_meet(rule, ruleset, family)) {
            ipsets.need(rule.matching.source, family, &ruleset.sets);
            ipsets.need(rule.matching.destination, family, &ruleset.sets);
        }
    }
    ipsets
}

/// The chain of a hook.
fn behind(ruleset: &Ruleset, hook: Option<Hook>) -> Option<&Chain> {
    ruleset.chains.iter().find(|chain| Some(chain.hook) == hook)
}

/// Rules from which on a thread is worth its start.
const MANY: usize = 1_000;

/// Each layout's tables of both families. Where there are many rules, each layout has a thread.
fn tables(ruleset: &Ruleset, layouts: &[Layout], ipsets: &Ipsets) -> Vec<[Table; 2]> {
    let both = |layout: Layout| Family::BOTH.map(|family| table(ruleset, family, layout, ipsets));
    if ruleset.chains.iter().map(|chain| chain.rules.len()).sum::<usize>() < MANY {
        return layouts.iter().copied().map(both).collect();
    }
    thread::scope(|scope| {
        let start = |&layout: &Layout| (layout, thread::Builder::new().spawn_scoped(scope, move || both(layout)));
        let started: Vec<_> = layouts.iter().map(start).collect();
        let done = started.into_iter().map(|(layout, thread)| match thread.map(ScopedJoinHandle::join) {
            Ok(Ok(tables)) => tables,
            Ok(Err(panic)) => resume_unwind(panic),
            // There may be no more threads.
            Err(_) => both(layout),
        });
        done.collect()
    })
}

/// The tables that the files hold.
fn layouts(ruleset: &Ruleset) -> &'static [Layout] {
    let nat = |chain: &Chain| matches!(chain.hook, Hook::NatPrerouting | Hook::NatPostrouting);
    if ruleset.chains.iter().any(nat) { &[FILTER, RAW, NAT] } else { &[FILTER, RAW] }
}

fn table(ruleset: &Ruleset, family: Family, (name, hooks): Layout, ipsets: &Ipsets) -> Table {
    let mut expander = Expander::new(ruleset, family, Names::new(CHAIN), ipsets);
    let builtin = hooks
        .iter()
        .map(|&(name, hook)| {
            let chain = behind(ruleset, hook);
            let drops = chain.is_some_and(|chain| chain.policy == Fate::Drop);
            let lines = chain.map_or_else(Vec::new, |chain| lines(&mut expander, chain));
            BuiltinChain { name, drops, rules: expander.writer.chain(name, &lines) }
        })
        .collect();
    Table { name, builtin, chains: expander.chains, rules: expander.writer.text }
}

fn lines<'a>(expander: &mut Expander<'a, '_>, chain: &'a Chain) -> Vec<Line<'a>> {
    let mut all = Vec::new();
    for run in chain.rules.chunk_by(alike) {
        let lines = expander.expand(chain.hook, run);
        match run.first() {
            Some(first) if kind(first) != Kind::Other => {
                all.extend(dispatch::arrange(expander, chain.hook, first, lines))
            }
            _ => all.extend(lines),
        }
    }
    all
}

/// What may be many and stand side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Entry,
    Icmp,
    Other,
}

fn kind(rule: &Rule) -> Kind {
    match (rule.origin, &rule.matching.payload) {
        (Origin::Entry(..), _) => Kind::Entry,
        (_, Payload::Icmp(_)) => Kind::Icmp,
        _ => Kind::Other,
    }
}

/// Whether two neighbours may be taken together: they have the same verdict, are of one kind and ask the same of conntrack.
fn alike(a: &Rule, b: &Rule) -> bool {
    a.action == b.action && kind(a) == kind(b) && a.matching.state == b.matching.state
}

fn file_head(header: &Header, family: Family, layouts: &[Layout], ipset: bool) -> String {
    let (program, name) = match family {
        Family::V4 => ("iptables-restore", V4_FILE),
        Family::V6 => ("ip6tables-restore", V6_FILE),
    };
    let mut text = first_line(header);
    let names: Vec<&str> = layouts.iter().map(|layout| layout.0).collect();
    text += &format!(
        "# {family} rules. They replace these tables as a whole: {}. Others stay as they are.\n",
        names.join(", ")
    );
    if ipset {
        text += &format!("# First load the address sets: ipset restore -file {IPSET_FILE}\n");
    }
    text + &format!("# Load with: {program} --test {name} && {program} {name}\n")
}

fn ipset_file(header: &Header, sets: &str) -> String {
    let load = format!("# The address sets of {V4_FILE} and {V6_FILE}. Load with: ipset restore -file {IPSET_FILE}\n");
    first_line(header) + &load + sets
}

fn first_line(header: &Header) -> String {
    format!("# fwc {}, spec sha256:{}\n", header.version, header.spec_hash)
}
