//! FWC425 (warning): what fills the table cannot be stateless because of NAT.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC425",
    severity: Severity::Warning,
    title: "NAT forbids the cure",
    explanation: "\
NAT is done by conntrack: a flow that is not tracked is not translated. `fwc doctor` holds the host's NAT rules against those who fill the table,
and proposes to make stateless only what no NAT rule touches. This one is touched, by the rules that are named.

If a rule is a leftover, remove it. If it means other flows, say so in the rule (an address, a port, an interface), so that it can be seen. Otherwise
the flows have to stay tracked, and the table has to be large enough for them (`fwc explain FWC301`).
",
};

/// Rules that are named; more are counted.
const NAMED: usize = 3;

/// `who` holds `percent` hundredths of the table, and these rules touch its flows.
pub fn report(who: &str, percent: u64, rules: &[String], advice: &str) -> Diagnostic {
    let named: Vec<&str> = rules.iter().take(NAMED).map(String::as_str).collect();
    let more = rules.len().saturating_sub(NAMED);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    Diagnostic::new(
        &FINDING,
        format!(
            "{who} holds {percent}% of the table and cannot be stateless, NAT may touch its flows: {}{more}",
            named.join("; ")
        ),
        format!("remove the rules if nothing needs them or narrow them down, otherwise enlarge the table: {advice}"),
    )
}
