//! What each fuzz target does with its input. `targets` feeds them by libFuzzer, `tests/fuzz_corpora.rs` the seeds on stable Rust.
//!
//! A body panics where an invariant does not hold, and only there.

use std::fs;
use std::path::Path;

use fwc::backend::Header;
use fwc::backend::iptables::artifacts;
use fwc::backend::nft::Program;
use fwc::backend::nft::netlink::messages;
use fwc::compile::{Compiled, Outcome, check, check_text};
use fwc::diagnostic::{Diagnostic, human, json};
use fwc::dump::ipset::Ipsets;
use fwc::dump::{
    ChainId, Dump, Verdict, netlink as netlink_reader, nft_json as nft_json_reader, nft_text as nft_text_reader,
    xtables,
};
use fwc::kernel::legacy::LegacyTable;
use fwc::kernel::normal::{NormalTable, Side};
use fwc::kernel::wire;
use fwc::net::{AddressSet, Family};
use fwc::source::{Place, Sources};

/// A target's name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: &[Target] = &[
    ("iptables_legacy", iptables_legacy),
    ("iptables_save", iptables_save),
    ("netlink", netlink),
    ("nft_json", nft_json),
    ("nft_text", nft_text),
    ("set_file", set_file),
    ("spec", spec),
];

const HEADER: Header<'static> = Header { version: "0.0.0", spec_hash: "0123456789abcdef" };

/// A spec compiles, or an error says where it does not. What it becomes is understood by the readers, and the same each time.
pub fn spec(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    // Set files have a target of their own, and no file of this machine is anybody's business here.
    if text.contains("file") {
        return;
    }
    let outcome = check_text("spec.yaml", text, Path::new("/nonexistent"));
    is_sound(&outcome);
    let again = check_text("spec.yaml", text, Path::new("/nonexistent"));
    assert_eq!(messages_of(&outcome.diagnostics), messages_of(&again.diagnostics));
    if let (Some(compiled), Some(again)) = (&outcome.compiled, &again.compiled) {
        assert_eq!(compiled.hash, again.hash);
        artifacts_are_understood(compiled, again);
    }
}

/// A file of addresses gives a set, or an error says where it does not. A set that is written out is read as the same.
pub fn set_file(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder for the set file");
    let read = |content: &[u8]| {
        fs::write(folder.path().join("set.txt"), content).expect("the set file is written");
        let text = "sets: {s: {file: set.txt}}\nblock: $s\n";
        fs::write(folder.path().join("spec.yaml"), text).expect("the spec is written");
        let outcome = check(&folder.path().join("spec.yaml"));
        is_sound(&outcome);
        outcome.compiled.map(|compiled| blocked(&compiled))
    };
    let Some(set) = read(data) else { return };
    let ranges = Family::BOTH.iter().flat_map(|family| set.ranges(*family));
    let written: String = ranges.map(|range| format!("{range}\n")).collect();
    assert_eq!(Some(set), read(written.as_bytes()));
}

/// Rules of iptables-save, and sets of ipset.
pub fn iptables_save(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let ipsets = Ipsets::read(text);
    for family in Family::BOTH {
        let read = || {
            let mut sources = Sources::default();
            let file = sources.add("rules", text);
            (xtables::read(file, text, family, &ipsets), sources)
        };
        is_sound_and_the_same(&read(), &read());
    }
}

/// fwc's own nft text.
pub fn nft_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = || {
        let mut sources = Sources::default();
        let file = sources.add("fwc.nft", text);
        (nft_text_reader::read(file, text), sources)
    };
    is_sound_and_the_same(&read(), &read());
}

/// What `nft -j list ruleset` prints.
pub fn nft_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = || {
        let mut sources = Sources::default();
        (nft_json_reader::read("live", text, &mut sources), sources)
    };
    is_sound_and_the_same(&read(), &read());
}

/// A table of iptables-legacy: one byte that is odd for IPv6, the offsets of five chains and of their policies as two bytes each (little end first, 0xffff for
/// none), the entries.
pub fn iptables_legacy(data: &[u8]) {
    let Some((head, entries)) = data.split_at_checked(21) else { return };
    let family = if head[0] & 1 == 0 { Family::V4 } else { Family::V6 };
    let offset = |number: usize| {
        let offset = u16::from_le_bytes([head[1 + 2 * number], head[2 + 2 * number]]);
        (offset != u16::MAX).then_some(usize::from(offset))
    };
    let table = LegacyTable {
        name: "nat".to_string(),
        starts: [0, 1, 2, 3, 4].map(offset),
        policies: [5, 6, 7, 8, 9].map(offset),
        entries: entries.to_vec(),
    };
    let read = || {
        let mut sources = Sources::default();
        xtables::of_tables(std::slice::from_ref(&table), family, &mut sources, "legacy").map(|dump| (dump, sources))
    };
    match (read(), read()) {
        (Ok(first), Ok(again)) => is_sound_and_the_same(&first, &again),
        (Err(_), Err(_)) => {}
        _ => panic!("read once, refused once"),
    }
}

/// Messages of nf_tables, by all who read them.
pub fn netlink(data: &[u8]) {
    let read = || {
        let mut sources = Sources::default();
        netlink_reader::of_messages(data, &mut sources, "live").map(|dump| (dump, sources))
    };
    match (read(), read()) {
        (Ok(first), Ok(again)) => is_sound_and_the_same(&first, &again),
        (Err(_), Err(_)) => {}
        _ => panic!("read once, refused once"),
    }
    for side in [Side::Sent, Side::Listed] {
        assert_eq!(identity(data, side), identity(data, side));
    }
}

/// The identity of the table that the messages make; `None` where they are refused.
fn identity(data: &[u8], side: Side) -> Option<[u8; 32]> {
    let mut table = NormalTable::default();
    for message in wire::messages(data) {
        table.take(&message.ok()?, side).ok()?;
    }
    table.settle();
    Some(table.identity())
}

fn messages_of(diagnostics: &[Diagnostic]) -> Vec<(&str, &str)> {
    diagnostics.iter().map(|one| (one.finding.code, one.message.as_str())).collect()
}

/// Compiled, or told why not at places that are there. Whatever is told can be shown.
fn is_sound(outcome: &Outcome) {
    let errors = outcome.diagnostics.iter().filter(|one| one.is_error()).count();
    assert_eq!(outcome.compiled.is_none(), errors > 0, "{:?}", outcome.diagnostics);
    for diagnostic in &outcome.diagnostics {
        assert!(!diagnostic.labels.is_empty(), "{diagnostic:?}");
        diagnostic.labels.iter().for_each(|label| is_there(label.place, &outcome.sources));
    }
    human::render(&outcome.diagnostics, &outcome.sources, human::Look::plain()).expect("it can be shown");
    let shown = json::document([(&outcome.diagnostics[..], &outcome.sources)]);
    drop(shown);
}

fn is_there(place: Place, sources: &Sources) {
    let source = sources.get(place.file).expect("the text of a place");
    assert!(source.text.get(place.start as usize..place.end as usize).is_some(), "{place:?}\n{}", source.text);
}

/// The sources that a spec blocks.
fn blocked(compiled: &Compiled) -> AddressSet {
    let dump = fwc::dump::of_ruleset(compiled.ruleset(), compiled.whole);
    let mut all = AddressSet::default();
    for (_, rule) in dump.rules().filter(|(chain, _)| chain.name == "RawPrerouting") {
        for condition in &rule.conditions {
            if let (Verdict::Drop, fwc::dump::Test::Address(_, set)) = (&rule.verdict, &condition.test) {
                all = AddressSet { v4: all.v4.union(&set.v4), v6: all.v6.union(&set.v6) };
            }
        }
    }
    all
}

fn artifacts_are_understood(compiled: &Compiled, again: &Compiled) {
    let program = Program::of(compiled.ruleset(), &HEADER);
    let text = program.text();
    assert_eq!(text, Program::of(again.ruleset(), &HEADER).text());
    let mut sources = Sources::default();
    let file = sources.add("fwc.nft", &*text);
    is_understood(&nft_text_reader::read(file, &text), &sources);
    let sent = netlink_reader::of_messages(&messages(&program).bytes, &mut sources, "sent").expect("well formed");
    is_understood(&sent, &sources);
    let files = artifacts(compiled.ruleset(), &HEADER);
    let ipsets = Ipsets::read(files.ipset.as_deref().unwrap_or(""));
    for (family, text) in [(Family::V4, &files.v4), (Family::V6, &files.v6)] {
        let file = sources.add("rules", &**text);
        is_understood(&xtables::read(file, text, family, &ipsets), &sources);
    }
}

/// Nothing in it is left open.
fn is_understood(dump: &Dump, sources: &Sources) {
    is_well_formed(dump, sources);
    let unread: Vec<(&str, &str)> = dump.unread.iter().map(|one| (sources.at(one.place), one.why.as_str())).collect();
    assert!(unread.is_empty(), "{unread:?}");
    for (_, rule) in dump.rules() {
        let understood = rule.conditions.iter().all(|condition| condition.test.is_understood())
            && !matches!(rule.verdict, Verdict::Unknown(_));
        assert!(understood, "{}", sources.at(rule.place));
    }
}

fn is_sound_and_the_same(first: &(Dump, Sources), again: &(Dump, Sources)) {
    is_well_formed(&first.0, &first.1);
    assert_eq!(format!("{:?}", first.0), format!("{:?}", again.0));
}

/// Every place lies in its text, every jump leads to a chain and none back, every rule has words.
fn is_well_formed(dump: &Dump, sources: &Sources) {
    dump.unread.iter().for_each(|unread| is_there(unread.place, sources));
    for (chain, rule) in dump.rules() {
        is_there(chain.place, sources);
        is_there(rule.place, sources);
        assert!(!dump.words(rule).is_empty());
    }
    let mut depths = vec![None; dump.chains.len()];
    (0..dump.chains.len()).for_each(|chain| ends(dump, ChainId(chain), &mut depths));
}

/// Follows the jumps of a chain. `Some(false)` is a chain on the way, `Some(true)` one that is done.
fn ends(dump: &Dump, id: ChainId, seen: &mut [Option<bool>]) {
    match seen[id.0] {
        Some(done) => assert!(done, "the chain {} leads back to itself", dump.chains[id.0].name),
        None => {
            seen[id.0] = Some(false);
            for rule in &dump.chains[id.0].rules {
                if let Verdict::Jump(to) | Verdict::Goto(to) = rule.verdict {
                    ends(dump, to, seen);
                }
            }
            seen[id.0] = Some(true);
        }
    }
}
