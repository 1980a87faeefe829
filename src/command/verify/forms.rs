//! The forms that are held against the rules: what fwc writes, read back from its own bytes, and what is loaded or lies in a file.

use std::io::Read;

use super::super::Failure;
use super::super::host::load;
use crate::backend::{Header, iptables};
use crate::cli::VerifyArgs;
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::form_differs;
use crate::dump::ipset::Ipsets;
use crate::dump::{Dump, foreign, netlink, nft_text, xtables};
use crate::net::Family;
use crate::source::Sources;

/// A form of the rules.
pub(super) struct Form {
    /// What a person calls it.
    pub(super) name: String,
    /// What it says.
    pub(super) dump: Dump,
    /// Whether fwc has made it from the spec just now.
    pub(super) own: bool,
}

/// All forms: those that fwc makes, and what they are to be compared with besides.
pub(super) fn all(
    compiled: &Compiled,
    arguments: &VerifyArgs,
    sources: &mut Sources,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<Vec<Form>, Failure> {
    let mut forms = own(compiled, sources, diagnostics);
    for against in &arguments.against {
        forms.push(file(against, sources)?);
    }
    Ok(forms)
}

fn own(compiled: &Compiled, sources: &mut Sources, diagnostics: &mut Vec<Diagnostic>) -> Vec<Form> {
    let mut forms = Vec::new();
    let mut form = |name: &str, dump| forms.push(Form { name: name.to_string(), dump, own: true });
    match load::prepare(compiled) {
        Ok(prepared) => {
            match netlink::of_messages(&prepared.messages.bytes, sources, "netlink messages") {
                Ok(dump) => form("the netlink messages", dump),
                Err(why) => diagnostics.push(form_differs::unread("the batch of netlink messages", &why.to_string())),
            }
            let text = prepared.program.text();
            let file = sources.add("fwc.nft", text.as_str());
            form("the nft text", nft_text::read(file, &text));
        }
        Err(diagnostic) => diagnostics.push(diagnostic),
    }
    let header = Header { version: env!("CARGO_PKG_VERSION"), spec_hash: &compiled.hash };
    let files = iptables::artifacts(compiled.ruleset(), &header);
    let ipsets = Ipsets::read(files.ipset.as_deref().unwrap_or_default());
    for (name, text, family) in [(iptables::V4_FILE, files.v4, Family::V4), (iptables::V6_FILE, files.v6, Family::V6)] {
        let file = sources.add(name, text.as_str());
        form(name, xtables::read(file, &text, family, &ipsets));
    }
    forms
}

/// A file of another tool, or of fwc.
fn file(path: &std::path::Path, sources: &mut Sources) -> Result<Form, Failure> {
    let name = if path.as_os_str() == "-" { "<stdin>".to_string() } else { path.display().to_string() };
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    let text = text.map_err(|error| Failure::Io(format!("reading {name}"), error))?;
    let beside = std::fs::read_to_string(path.with_extension("ipset")).unwrap_or_default();
    Ok(Form { dump: foreign::read(&name, &text, &Ipsets::read(&beside), sources), name, own: false })
}
