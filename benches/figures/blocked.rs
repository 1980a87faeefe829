//! What block lists cost packets that are not on them, and what a packet costs that is dropped.

use fwc::net::Family;

use super::Effort;
use super::case::{Case, Figures, Flows, Rules, measure as send};
use super::hand::{self, Extras};
use super::inputs;
use super::report::Report;
use super::support::Spec;
use super::traffic::{Kind, NO_SERVICE, Traffic, blocked_sources};

const MILLION: u32 = 1_000_000;

pub fn measure(effort: Effort, report: &mut Report) {
    report.group("a UDP packet from a source that is not blocked, 1 service");
    let figures = send(&passing(), Flows::Known, effort.some, report);
    tell_passing(report, &figures);
    report.group("a packet that is dropped");
    let figures = send(&dropped(), Flows::Known, effort.some, report);
    tell_dropped(report, &figures);
}

/// So many blocked addresses; of a million in IPv4, some send [`Kind::Blocked`].
fn list(family: Family, addresses: u32) -> String {
    let senders = blocked_sources().take(if family == Family::V4 && addresses > 1 { usize::MAX } else { 0 });
    inputs::block_list(family, addresses, senders)
}

fn fwc(family: Family, addresses: u32) -> Rules {
    let spec =
        format!("sets:\n  bad: {{file: {0}}}\nblock: [$bad]\n{1}", inputs::BLOCK_FILE, inputs::spec_of(family, 1));
    Rules::Fwc(Spec::new(&spec).file(inputs::BLOCK_FILE, &list(family, addresses)))
}

fn by_hand(sets: &str, first: &str) -> Rules {
    Rules::Nft(hand::stateless(Family::V4, 1, Extras { counted: true, sets, first, ..Extras::default() }))
}

fn hand_million() -> Rules {
    by_hand(&hand::bad(&list(Family::V4, MILLION)), hand::DROP_BAD)
}

fn passing() -> Vec<Case> {
    let [v4, v6] = Family::BOTH.map(|family| Traffic::udp(family, 1));
    vec![
        Case::new("block.none", "no rules", v4, Rules::None),
        Case::new("block.fwc.1", "fwc apply, 1 blocked address", v4, fwc(Family::V4, 1)),
        Case::new("block.fwc.1000000", "fwc apply, 1,000,000 blocked addresses", v4, fwc(Family::V4, MILLION)),
        Case::new("block.hand.1000000", "by hand, 1,000,000 blocked addresses", v4, hand_million()),
        Case::new("block6.none", "no rules, IPv6", v6, Rules::None),
        Case::new("block6.fwc.1", "fwc apply, 1 blocked address, IPv6", v6, fwc(Family::V6, 1)),
        Case::new("block6.fwc.1000000", "fwc apply, 1,000,000 blocked addresses, IPv6", v6, fwc(Family::V6, MILLION)),
    ]
}

fn tell_passing(report: &mut Report, figures: &Figures) {
    let flat = Some(1.1);
    figures.ratio(report, "block.ratio", "1,000,000 blocked over 1", ["block.fwc.1000000", "block.fwc.1"], flat);
    figures.ratio(
        report,
        "block6.ratio",
        "1,000,000 blocked over 1, IPv6",
        ["block6.fwc.1000000", "block6.fwc.1"],
        flat,
    );
    figures.added(report, "block.added.1", "what fwc adds to no rules, 1 blocked", ["block.fwc.1", "block.none"]);
    figures.added(
        report,
        "block.added.1000000",
        "what fwc adds, 1,000,000 blocked",
        ["block.fwc.1000000", "block.none"],
    );
    figures.added(
        report,
        "block6.added.1",
        "what fwc adds to no rules, 1 blocked, IPv6",
        ["block6.fwc.1", "block6.none"],
    );
    figures.added(
        report,
        "block6.added.1000000",
        "what fwc adds, 1,000,000 blocked, IPv6",
        ["block6.fwc.1000000", "block6.none"],
    );
    figures.ratio(
        report,
        "block.over-hand",
        "fwc over the same by hand, 1,000,000",
        ["block.fwc.1000000", "block.hand.1000000"],
        Some(1.0),
    );
}

/// The drop in raw prerouting stands in the best ruleset by hand, which tracks what else the host does.
fn dropped() -> Vec<Case> {
    let [blocked, syn] = [Kind::Blocked, Kind::Syn].map(Traffic::one);
    let raw = |first: &str| by_hand("", first);
    let to_no_service = format!("tcp dport {NO_SERVICE} drop");
    let quiet = format!("policy: {{output: drop}}\nconntrack: disabled\n{}", inputs::spec(1));
    vec![
        Case::dropping("drop.raw", "blocked source, one rule by hand", blocked, raw("ip saddr 198.19.0.0/16 drop")),
        Case::dropping("drop.hand", "blocked source, by hand, 1,000,000 blocked", blocked, hand_million()),
        Case::dropping("drop.fwc", "blocked source, fwc apply, 1,000,000 blocked", blocked, fwc(Family::V4, MILLION)),
        Case::dropping("syn.raw", "bare SYN to no service, one rule by hand in raw", syn, raw(&to_no_service)),
        Case::dropping("syn.hand", "bare SYN to no service, dropped in input by hand", syn, by_hand("", "")),
        Case::dropping(
            "syn.stateful",
            "bare SYN to no service, stateful filter",
            syn,
            Rules::Nft(inputs::nft_stateful(1)),
        ),
        Case::dropping("syn.fwc", "bare SYN to no service, fwc apply", syn, Rules::Fwc(Spec::new(&inputs::spec(1)))),
        Case::dropping(
            "syn.fwc-quiet",
            "bare SYN to no service, fwc, nothing tracked",
            syn,
            Rules::Fwc(Spec::new(&quiet)),
        ),
    ]
}

fn tell_dropped(report: &mut Report, figures: &Figures) {
    figures.ratio(
        report,
        "drop.ratio",
        "blocked source: fwc over one rule by hand",
        ["drop.fwc", "drop.raw"],
        Some(1.0),
    );
    figures.ratio(
        report,
        "drop.over-hand",
        "blocked source: fwc over the same by hand",
        ["drop.fwc", "drop.hand"],
        Some(1.0),
    );
    figures.ratio(report, "syn.ratio", "bare SYN: fwc over a drop in raw", ["syn.fwc", "syn.raw"], Some(1.0));
    figures.ratio(
        report,
        "syn.quiet-ratio",
        "bare SYN: fwc, nothing tracked, over a drop in raw",
        ["syn.fwc-quiet", "syn.raw"],
        None,
    );
    figures.ratio(report, "syn.over-hand", "bare SYN: fwc over the same by hand", ["syn.fwc", "syn.hand"], Some(1.0));
    figures.ratio(
        report,
        "syn.over-stateful",
        "bare SYN: fwc over the stateful filter",
        ["syn.fwc", "syn.stateful"],
        None,
    );
}
