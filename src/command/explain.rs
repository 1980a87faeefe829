//! `fwc explain CODE`.

use std::fmt::Write as _;
use std::process::ExitCode;

use super::Failure;
use super::output::Output;
use crate::diagnostic::finding::ALL;
use crate::diagnostic::{Finding, Severity, nearest};

pub(super) fn run(output: Output, code: Option<&str>) -> Result<ExitCode, Failure> {
    let Some(code) = code else {
        output.result(&list(), &ALL.iter().map(|finding| entry(finding)).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    };
    let wanted = code.to_ascii_uppercase();
    let Some(finding) = ALL.iter().find(|finding| finding.code == wanted) else {
        let near = nearest(&wanted.to_ascii_lowercase(), ALL.iter().map(|finding| finding.code));
        let hint =
            near.map_or_else(|| "`fwc explain` lists them all".to_string(), |near| format!("did you mean {near}?"));
        return Err(Failure::Usage(format!("there is no code `{code}`; {hint}")));
    };
    let text = format!("{} ({}): {}\n\n{}", finding.code, severity(finding), finding.title, finding.explanation);
    output.result(&text, &entry(finding))?;
    Ok(ExitCode::SUCCESS)
}

fn severity(finding: &Finding) -> &'static str {
    match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn entry(finding: &Finding) -> serde_json::Value {
    serde_json::json!({
        "code": finding.code,
        "severity": severity(finding),
        "title": finding.title,
        "explanation": finding.explanation,
    })
}

fn list() -> String {
    ALL.iter().fold(String::new(), |mut text, finding| {
        let _ = writeln!(text, "{}  {:<7}  {}", finding.code, severity(finding), finding.title);
        text
    })
}
