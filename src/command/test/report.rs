//! Reports for CI servers. Neither has a clock time or a duration in it: the same spec gives the same report.

use std::fmt::Write as _;

use super::super::journey::Told;
use super::{Held, became, title};
use crate::diagnostic::Diagnostic;

/// JUnit XML: a test case for each test, with both of its legs.
pub(super) fn junit(name: &str, told: Told<'_>, results: &[Held<'_>]) -> String {
    let failed = results.iter().filter(|held| !held.result.passed()).count();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\"", results.len());
    let name = escaped(name);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"fwc test\" {counts}>\n  \
         <testsuite name=\"{name}\" {counts} skipped=\"0\">\n"
    );
    for held in results {
        let position = told.sources.position(held.result.test.packet.place);
        let _ = write!(
            text,
            "    <testcase name=\"{}: {}\" classname=\"{name}\" file=\"{}\" line=\"{}\"",
            held.result.number,
            escaped(&title(&held.result)),
            escaped(position.name),
            position.line
        );
        if held.result.passed() {
            text.push_str("/>\n");
            continue;
        }
        let messages: Vec<&str> = held.failures.iter().map(|failure| failure.message.as_str()).collect();
        let code = held.failures.first().map_or("", |failure| failure.finding.code);
        let _ = writeln!(
            text,
            ">\n      <failure type=\"{code}\" message=\"{}\">{}</failure>\n    </testcase>",
            escaped(&messages.join("; ")),
            escaped(&details(held))
        );
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

fn details(held: &Held<'_>) -> String {
    let legs = held.result.legs.iter().map(became);
    let failures = held.failures.iter().map(|failure| format!("{}\nhelp: {}", failure.message, failure.help));
    legs.chain(failures).collect::<Vec<_>>().join("\n")
}

/// Text for XML. XML 1.0 has no control characters but these, escaped or not.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(character),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ if character.is_control() => out.push('\u{fffd}'),
            _ => out.push(character),
        }
    }
    out
}

/// The Test Anything Protocol, version 14.
pub(super) fn tap(told: Told<'_>, results: &[Held<'_>]) -> String {
    let mut text = "TAP version 14\n".to_string();
    let _ =
        writeln!(text, "1..{}{}", results.len(), if results.is_empty() { " # SKIP the spec has no tests" } else { "" });
    for held in results {
        let verdict = if held.result.passed() { "ok" } else { "not ok" };
        // A description has no `#`, which would start a directive: packets have none, and interfaces neither.
        let _ = writeln!(text, "{verdict} {} - {}", held.result.number, title(&held.result));
        if !held.result.passed() {
            let position = told.sources.position(held.result.test.packet.place);
            let _ = writeln!(text, "  ---\n  at: {}\n  failures:", quoted(&position.to_string()));
            for failure in &held.failures {
                text.push_str(&yaml(failure));
            }
            text.push_str("  ...\n");
        }
    }
    text
}

fn yaml(failure: &Diagnostic) -> String {
    format!(
        "    - code: {}\n      message: {}\n      help: {}\n",
        failure.finding.code,
        quoted(&failure.message),
        quoted(&failure.help)
    )
}

/// A JSON string is a YAML string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escaped("a<b> & \"c\"\u{1b}[0m\n"), "a&lt;b&gt; &amp; &quot;c&quot;\u{fffd}[0m\n");
    }
}
