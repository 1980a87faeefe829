//! The answers for people, in 80 columns of plain characters.

use std::fmt::Write as _;

use super::Report;
use super::report::{Counter, Counters, Log, Table};

/// Columns of a bar.
const BAR: usize = 24;
/// Columns of what a bar is about.
const TITLE: usize = 28;
/// Lines of a picture; the rest is summed up.
const LINES: usize = 8;

impl Report {
    /// The whole answer, for a terminal.
    #[must_use]
    pub fn human(&self) -> String {
        let Some(table) = &self.table else {
            let mut text = "conntrack: this kernel does not track connections: there is no table to fill\n".to_string();
            self.unseen(&mut text);
            return text;
        };
        let mut text = self.head(table);
        if let Some(counters) = &self.counters {
            counters.human(&mut text);
        }
        if let Some(log) = &self.log {
            log.human(&mut text);
        }
        if let Some(users) = &self.users {
            let bars = users.iter().map(|user| (user.title.clone(), user.entries, user.percent)).collect();
            picture(&mut text, "who fills it", bars);
        }
        if let Some(states) = &self.states {
            let title = |state: &super::report::StateShare| match state.timeout {
                Some(timeout) => format!("{}, kept {}", state.state, duration(u64::from(timeout))),
                None => state.state.to_string(),
            };
            let bars = states.iter().map(|state| (title(state), state.entries, state.percent)).collect();
            picture(&mut text, "in which state", bars);
        }
        self.cure(&mut text);
        self.unseen(&mut text);
        text
    }

    fn head(&self, table: &Table) -> String {
        let Table { count, max, percent, .. } = table;
        let verdict = match (self.findings.first().copied(), self.healthy) {
            (Some("FWC420"), _) => "FULL",
            (_, false) => "needs attention",
            (_, true) => "healthy",
        };
        let mut text = format!("conntrack table: {verdict}\n");
        let _ = writeln!(text, "  entries        {count} of {max} ({percent}%)  {}", bar(*count, *max));
        let until = match table.seconds_until_full {
            Some(0) => "; no room is left".to_string(),
            Some(seconds) => format!("; at this rate full in {}", duration(seconds)),
            None => String::new(),
        };
        let _ = writeln!(text, "  growth         {:+.0} entries a second{until}", table.growth_per_second);
        let _ = writeln!(
            text,
            "  buckets        {}; {:.1} entries in an average chain",
            table.buckets, table.average_chain
        );
        let used = table.bytes_of_entries.saturating_add(table.bytes_of_buckets);
        let _ = writeln!(text, "  memory         {}; {} when full", megabytes(used), megabytes(table.bytes_when_full));
        text
    }

    fn cure(&self, text: &mut String) {
        if !self.nat.is_empty() {
            let _ = writeln!(text, "\nNAT rules on this host: {}", self.nat.len());
            for barred in &self.proposal.barred {
                let _ = writeln!(text, "  {} ({}%) has to stay tracked, because of", barred.who, barred.percent);
                barred.rules.iter().for_each(|rule| {
                    let _ = writeln!(text, "    {rule}");
                });
            }
            if self.proposal.spec.is_some() {
                text.push_str("  they do not touch what is proposed here\n");
            }
        }
        if self.healthy {
            return;
        }
        if let Some(spec) = &self.proposal.spec {
            let _ = writeln!(text, "\nwhat helps: this spec frees {}% of the entries", self.proposal.frees_percent);
            text.push_str(if self.proposal.beside_loaded {
                "  (`fwc doctor --spec` prints it alone)\n\n"
            } else {
                "  (`fwc doctor --spec` prints it alone; it drops nothing by itself)\n\n"
            });
            spec.lines().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
        }
        if let Some(sizing) = &self.sizing {
            text.push_str("\nfor what stays tracked, a table of another size:\n\n");
            sizing.spec.lines().for_each(|line| {
                let _ = writeln!(text, "  {line}");
            });
            text.push('\n');
            sizing.reasons.iter().for_each(|reason| wrap(text, reason));
        }
    }

    fn unseen(&self, text: &mut String) {
        if !self.unseen.is_empty() {
            text.push_str("\nnot seen:\n");
            self.unseen.iter().for_each(|unseen| wrap(text, &format!("{}: {}", unseen.what, unseen.why)));
        }
    }
}

impl Counters {
    fn human(&self, text: &mut String) {
        let mut line = |name: &str, counter: Counter, what: &str| {
            let rate = format!("{:.0}/s", counter.per_second);
            let _ = writeln!(text, "  {name:<14} {:>12} {rate:>10}  {what}", counter.total);
        };
        line("drop", self.drop, "packets lost for want of room");
        line("early_drop", self.early_drop, "entries thrown out to make room");
        line("insert_failed", self.insert_failed, "packets lost in a race for an entry");
    }
}

impl Log {
    fn human(&self, text: &mut String) {
        let last = self.last_seconds_ago.map_or(String::new(), |ago| format!(", the last {} ago", duration(ago)));
        let elsewhere = match self.elsewhere {
            0 => String::new(),
            lines => format!("; {lines} of other namespaces"),
        };
        let _ = writeln!(text, "  kernel's log   {} times `table full`{last}{elsewhere}", self.here);
    }
}

fn picture(text: &mut String, heading: &str, bars: Vec<(String, u64, u64)>) {
    if bars.is_empty() {
        return;
    }
    let all: u64 = bars.iter().map(|(_, entries, _)| entries).sum();
    let _ = writeln!(text, "\n{heading}");
    let mut line = |title: &str, entries: u64, percent: u64| {
        let title: String = title.chars().take(TITLE).collect();
        let _ = writeln!(text, "  {title:<TITLE$} {} {entries:>10} {percent:>4}%", bar(entries, all));
    };
    // Summing up a single line saves none.
    let shown = if bars.len() == LINES + 1 { LINES + 1 } else { LINES };
    bars.iter().take(shown).for_each(|(title, entries, percent)| line(title, *entries, *percent));
    let rest: u64 = bars.iter().skip(shown).map(|(_, entries, _)| entries).sum();
    if bars.len() > shown {
        line(&format!("{} others", bars.len() - shown), rest, super::percent(rest, all));
    }
}

/// As much of a bar as `part` is of `whole`; at least one mark for what is there at all.
fn bar(part: u64, whole: u64) -> String {
    let marks = u128::from(part.min(whole)) * BAR as u128 / u128::from(whole.max(1));
    let marks = usize::try_from(marks).unwrap_or(BAR).max(usize::from(part > 0)).min(BAR);
    format!("[{}{}]", "#".repeat(marks), ".".repeat(BAR - marks))
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

fn duration(seconds: u64) -> String {
    match seconds {
        0..=120 => format!("{seconds} s"),
        121..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A sentence with two blanks before it, and four where it goes on, in 80 columns.
fn wrap(text: &mut String, sentence: &str) {
    let mut width = 0;
    for word in sentence.split(' ') {
        if width > 0 && width + 1 + word.chars().count() > 80 {
            text.push_str("\n    ");
            width = 4;
        } else if width > 0 {
            text.push(' ');
            width += 1;
        } else {
            text.push_str("  ");
            width = 2;
        }
        text.push_str(word);
        width += word.chars().count();
    }
    text.push('\n');
}
