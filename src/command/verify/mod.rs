//! `fwc verify SPEC`: proves over all packets that the rules mean what the spec says, and that every form of them does the same.

mod forms;
mod report;

use std::process::ExitCode;

use serde::Serialize;

use super::output::Output;
use super::{Failure, exit};
use crate::cli::VerifyArgs;
use crate::compile::{self, Compiled};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::proof_too_large;
use crate::dump::{Dump, of_ruleset};
use crate::proof::TooLarge;
use crate::proof::claim::{self, Paths};
use crate::proof::space::Space;
use forms::Form;

pub(super) fn run(output: Output, arguments: &VerifyArgs) -> Result<ExitCode, Failure> {
    if arguments.netns.is_some() && !arguments.against.iter().any(|against| against.as_os_str() == "live") {
        return Err(Failure::Usage(
            "`--netns` says where the live table is: give `--against live` as well".to_string(),
        ));
    }
    let mut outcome = compile::check(&arguments.spec);
    output.diagnostics(&outcome.sources, &outcome.diagnostics);
    let Some(compiled) = &outcome.compiled else { return Ok(ExitCode::from(exit::REFUSED)) };
    let mut proof = Proof { diagnostics: Vec::new(), proven: Vec::new() };
    let forms = forms::all(compiled, arguments, &mut outcome.sources, &mut proof.diagnostics)?;
    if prove(compiled, &forms, &mut proof).is_err() {
        proof.diagnostics.push(proof_too_large::report(compiled.whole));
    }
    output.diagnostics(&outcome.sources, &proof.diagnostics);
    let holds = proof.diagnostics.is_empty();
    let human = proof.human(&arguments.spec.display().to_string());
    output.result(&human, &Told { spec: arguments.spec.display().to_string(), holds, proven: &proof.proven })?;
    Ok(if holds { ExitCode::SUCCESS } else { ExitCode::from(exit::REFUSED) })
}

/// What has been found so far.
struct Proof {
    /// What does not hold.
    diagnostics: Vec<Diagnostic>,
    /// What holds, each a sentence.
    proven: Vec<String>,
}

#[derive(Serialize)]
struct Told<'a> {
    spec: String,
    holds: bool,
    proven: &'a [String],
}

impl Proof {
    fn human(&self, spec: &str) -> String {
        let head = if self.diagnostics.is_empty() {
            format!("{spec}: proven for every packet\n")
        } else {
            let count = self.diagnostics.len();
            let what =
                if count == 1 { "one thing does not hold".to_string() } else { format!("{count} things do not hold") };
            let rest = if self.proven.is_empty() { "" } else { "; what holds for every packet:" };
            format!("{spec}: not proven, {what}{rest}\n")
        };
        self.proven.iter().fold(head, |text, line| text + "  " + line + "\n")
    }
}

/// Every claim about the rules by themselves, as the sentence that is told where it holds.
const CLAIMS: [(&[claim::Claim], &str); 3] = [
    (&[claim::Claim::Legs], "both legs of every untracked flow are untracked together, on every hook that they pass"),
    (
        &[claim::Claim::Tracking, claim::Claim::Nat, claim::Claim::Translated],
        "what is untracked or translated is exactly what the spec says, and no NAT rule meets an untracked flow",
    ),
    (
        &[claim::Claim::Accepted, claim::Claim::Openers],
        "what is accepted is exactly what the spec says, and no rule for replies lets a bare SYN in",
    ),
];

fn prove(compiled: &Compiled, forms: &[Form], proof: &mut Proof) -> Result<(), TooLarge> {
    let rules = of_ruleset(compiled.ruleset(), compiled.whole);
    let dumps = std::iter::once(&rules).chain(forms.iter().map(|form| &form.dump));
    let space = claim::space(Some(&compiled.policy), dumps)?;
    let paths = Paths::of(&space, &rules)?;
    let failures = claim::rules(&space, &compiled.policy, &rules, &paths)?;
    for failure in &failures {
        proof.diagnostics.extend(report::of_rules(&space, compiled, &rules, failure)?);
    }
    for (claims, sentence) in CLAIMS {
        if !failures.iter().any(|failure| claims.contains(&failure.claim)) {
            proof.proven.push(sentence.to_string());
        }
    }
    let mut same = Vec::new();
    for form in forms {
        if hold(&space, compiled, (&rules, &paths), form, proof)? {
            same.push(form.name.as_str());
        }
    }
    if let [forms @ .., last] = same.as_slice() {
        let list = if forms.is_empty() { (*last).to_string() } else { format!("{} and {last}", forms.join(", ")) };
        let verb = if forms.is_empty() { "does" } else { "do" };
        proof.proven.push(format!("{list} {verb} exactly what the rules say"));
    }
    Ok(())
}

/// Holds a form against the rules.
fn hold(
    space: &Space,
    compiled: &Compiled,
    (rules, paths): (&Dump, &Paths),
    form: &Form,
    proof: &mut Proof,
) -> Result<bool, TooLarge> {
    let before = proof.diagnostics.len();
    proof.diagnostics.extend(report::unread(form));
    let other = Paths::of(space, &form.dump)?;
    for failure in claim::same(space, paths, &other, &form.dump.families)? {
        proof.diagnostics.extend(report::of_form(space, compiled, rules, form, &failure)?);
    }
    Ok(proof.diagnostics.len() == before)
}
