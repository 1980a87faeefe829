//! Files for iptables-restore, one for each family, and one for `ipset restore` where sets are large.
//!
//! `merge` takes an entry's rules together, `expand` turns them into lines, `dispatch` brings many lines into the chains of a `tree`, `members`
//! and `split` say which into which, `ipset` keeps the sets that are too large for lines, `line` is what iptables can say, and `text` writes it.
//!
//! `*filter` stands before `*raw`, because iptables-restore commits table by table: should the filter table fail, nothing is untracked yet.
//! Both stand in every file, so that what an older file left in them goes.

mod address;
mod digits;
mod dispatch;
mod expand;
mod ipset;
mod line;
mod lines;
mod members;
mod merge;
mod names;
mod split;
mod text;
mod tree;

use address::Address;
use expand::{Expander, can_meet};
use ipset::{Ipsets, is_large};
use lines::Lines;

use super::Header;
use crate::net::Family;
use crate::ruleset::{Chain, Hook, Origin, Payload, Rule, Ruleset};
use crate::spec::Fate;
use crate::threads;

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
    let files = Files::of(ruleset, header);
    // All that is put in is UTF-8.
    let [v4, v6] = files.rules(Family::BOTH).map(|parts| String::from_utf8(parts.concat()).unwrap_or_default());
    Artifacts { v4, v6, ipset: files.ipset() }
}

/// The files of a ruleset, each written when it is asked for.
pub struct Files<'a> {
    ruleset: &'a Ruleset,
    header: &'a Header<'a>,
    layouts: &'static [Layout],
    ipsets: Ipsets<'a>,
}

impl<'a> Files<'a> {
    /// Nothing is written yet.
    #[must_use]
    pub fn of(ruleset: &'a Ruleset, header: &'a Header) -> Self {
        let layouts = layouts(ruleset);
        Files { ruleset, header, layouts, ipsets: ipsets(ruleset, layouts) }
    }

    /// The rules of each of these families, in parts that stand one behind the other: many rules are not copied once more.
    #[must_use]
    pub fn rules<const N: usize>(&self, families: [Family; N]) -> [Vec<Vec<u8>>; N] {
        let mut files = families
            .map(|family| vec![file_head(self.header, family, self.layouts, self.ipsets.is_needed()).into_bytes()]);
        for tables in self.tables(families) {
            for (file, table) in files.iter_mut().zip(tables) {
                file.extend(table);
            }
        }
        files
    }

    /// What [`Artifacts::ipset`] holds.
    #[must_use]
    pub fn ipset(&self) -> Option<String> {
        self.ipsets.text().map(|sets| ipset_file(self.header, &sets))
    }

    /// Each layout's tables of these families. Where there are many rules, they are made side by side.
    fn tables<const N: usize>(&self, families: [Family; N]) -> Vec<[TableParts; N]> {
        let of = |layout: Layout| families.map(|family| self.table(family, layout));
        threads::each_if(self.are_many(), self.layouts, of)
    }

    fn are_many(&self) -> bool {
        self.ruleset.chains.iter().map(|chain| chain.rules.len()).sum::<usize>() >= MANY
    }

    fn table(&self, family: Family, layout: Layout) -> TableParts {
        match family {
            Family::V4 => table::<u32>(self.ruleset, layout, &self.ipsets),
            Family::V6 => table::<u128>(self.ruleset, layout, &self.ipsets),
        }
    }
}

/// The ipsets of both files, in the order in which they are needed.
fn ipsets<'a>(ruleset: &'a Ruleset, layouts: &[Layout]) -> Ipsets<'a> {
    let mut ipsets = Ipsets::new();
    for family in Family::BOTH {
        // Mostly there is none, and then the many rules are left alone.
        if !ruleset.sets.all().any(|set| is_large(set, family)) {
            continue;
        }
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

/// A table in parts that stand one behind the other.
type TableParts = [Vec<u8>; 3];

/// The tables that the files hold.
fn layouts(ruleset: &Ruleset) -> &'static [Layout] {
    let nat = |chain: &Chain| matches!(chain.hook, Hook::NatPrerouting | Hook::NatPostrouting);
    if ruleset.chains.iter().any(nat) { &[FILTER, RAW, NAT] } else { &[FILTER, RAW] }
}

fn table<A: Address>(ruleset: &Ruleset, (name, hooks): Layout, ipsets: &Ipsets) -> TableParts {
    let mut expander = Expander::<A>::new(name, ruleset, ipsets);
    // One list for all chains: its memory is not asked for anew.
    let mut lines = Lines::new();
    for &(name, hook) in hooks {
        let chain = behind(ruleset, hook);
        expander.sheet.add_builtin(name, chain.is_some_and(|chain| chain.policy == Fate::Drop));
        let Some(chain) = chain else { continue };
        for run in chain.rules.chunk_by(alike) {
            lines.clear_for(run.len());
            expander.expand(chain.hook, run, &mut lines);
            match run.first() {
                Some(first) if kind(first) != Kind::Other => {
                    dispatch::arrange(&mut expander.sheet, name, chain.hook, first, &mut lines);
                }
                _ => expander.sheet.builtin.rules(name, &lines, lines.numbers()),
            }
        }
    }
    expander.sheet.parts()
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
