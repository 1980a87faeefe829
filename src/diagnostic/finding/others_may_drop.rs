//! FWC406 (warning): a chain of somebody else drops, or may drop, some of what the spec accepts.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC406",
    severity: Severity::Warning,
    title: "another table may drop what the spec accepts",
    explanation: "\
A packet must pass every base chain of its hooks, whoever made them. `fwc apply` reads the chains of all other tables and leads the packets of the
entries through each. It warns, and loads, where

- a chain drops some packets of a stateless entry whether they are tracked or not: a list of banned addresses, another interface;
- packets of a stateless entry would pass a chain if they were tracked, and now it hangs on a condition that fwc cannot follow, such as a rate
  limit, a mark or an ipset;
- a chain drops everything of a tracked entry: it did so before, and does so after the apply.

What is proven to be lost by a stateless entry for being untracked, or as a whole, is FWC402.
",
};

/// Some packets are dropped, tracked or not.
pub fn some(chain: &str, whose: &str, by: &str, packet: &str, place: Place) -> Diagnostic {
    let message = format!("{chain} drops some packets of {whose}: {by}; `{packet}` is one of them");
    let help = "nothing to do if that is meant: the chain would drop them without fwc, too";
    Diagnostic::new(&FINDING, message, help).at(place, "accepted here")
}

/// Some packets may be dropped. `questions` are the conditions that are not understood.
pub fn unclear(chain: &str, whose: &str, questions: &[String], place: Place) -> Diagnostic {
    const SHOWN: usize = 2;
    let mut list: Vec<String> = questions.iter().take(SHOWN).map(|question| format!("`{question}`")).collect();
    if questions.len() > SHOWN {
        list.push(format!("{} more", questions.len() - SHOWN));
    }
    let list = list.join(", ");
    let message = format!(
        "{chain} may drop packets of {whose} because they are not tracked: it hangs on conditions that are not followed ({list})"
    );
    let help = "see that the chain lets untracked packets of the entry pass; it does not count them as established";
    Diagnostic::new(&FINDING, message, help).at(place, "accepted here")
}

/// Nothing of a tracked entry passes.
pub fn tracked(chain: &str, whose: &str, by: &str, packet: &str, cure: &str, place: Place) -> Diagnostic {
    let message = format!("{chain} drops every packet of {whose} in one direction: {by}; `{packet}` is lost");
    let help = format!("let them pass there: `{cure}`");
    Diagnostic::new(&FINDING, message, help).at(place, "accepted here, dropped there")
}
