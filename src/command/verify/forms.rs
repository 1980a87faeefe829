//! The forms that are held against the rules: what fwc writes, read back from its own bytes, and what is loaded or lies in a file.

use std::io::Read;
use std::path::Path;

use super::super::Failure;
use super::super::host::load;
use crate::backend::{Header, iptables};
use crate::cli::VerifyArgs;
use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{form_differs, ruleset_differs};
use crate::dump::ipset::Ipsets;
use crate::dump::{Dump, netlink, nft_text, xtables};
use crate::import;
use crate::kernel::listing;
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
        let form = if against.as_os_str() == "live" {
            super::super::host::enter(arguments.netns.as_deref()).and_then(|()| live(sources))
        } else {
            file(against, sources)?
        };
        match form {
            Ok(form) => forms.push(form),
            Err(diagnostic) => diagnostics.push(diagnostic),
        }
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

/// The table that is loaded.
fn live(sources: &mut Sources) -> Result<Form, Diagnostic> {
    let mut socket = super::super::host::socket()?;
    let bytes = listing::own_table(&mut socket).map_err(|error| super::super::host::kernel_failure(&error))?;
    if bytes.is_empty() {
        return Err(ruleset_differs::absent("live table inet fwc"));
    }
    let name = "the live table inet fwc".to_string();
    match netlink::of_messages(&bytes, sources, "live table inet fwc") {
        Ok(dump) => Ok(Form { name, dump, own: false }),
        Err(why) => Err(ruleset_differs::unread(&name, &why.to_string())),
    }
}

/// A file of another tool, or of fwc. The ipset file that stands beside a file of iptables is read with it.
fn file(path: &Path, sources: &mut Sources) -> Result<Result<Form, Diagnostic>, Failure> {
    let is_stdin = path.as_os_str() == "-";
    let name = if is_stdin { "<stdin>".to_string() } else { path.display().to_string() };
    let mut text = String::new();
    let read = if is_stdin {
        std::io::stdin().read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|error| Failure::Io(format!("reading {name}"), error))?;
    let mut files = vec![sources.add(name.as_str(), text)];
    let beside = path.with_extension("ipset");
    if let Ok(sets) = std::fs::read_to_string(&beside) {
        files.push(sources.add(beside.display().to_string(), sets));
    }
    Ok(match import::read(&files, sources) {
        Ok(dump) => Ok(Form { name, dump, own: false }),
        Err(why) => Err(ruleset_differs::no_ruleset(&name, &why)),
    })
}
