//! Which kind of file a text is, and several files as one ruleset.

use crate::dump::ipset::Ipsets;
use crate::dump::{Chain, ChainId, Dump, Verdict, nft_json, xtables};
use crate::net::Family;
use crate::source::{FileId, Sources};

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Xtables,
    Ipset,
    NftJson,
}

/// Reads files of foreign tools as one ruleset: what iptables-save, ip6tables-save, ipset and `nft -j list ruleset` print.
///
/// # Errors
/// With a sentence, when a text is none of these.
pub fn read(files: &[FileId], sources: &mut Sources) -> Result<Dump, String> {
    let mut texts = Vec::new();
    for &file in files {
        let Some(source) = sources.get(file) else { continue };
        let kind = kind(&source.text).ok_or_else(|| {
            format!(
                "{} is none of what iptables-save, ip6tables-save, ipset save and nft -j list ruleset print",
                source.name
            )
        })?;
        texts.push((file, source.name.clone(), source.text.clone(), kind));
    }
    let sets: Vec<&str> =
        texts.iter().filter(|(.., kind)| *kind == Kind::Ipset).map(|(_, _, text, _)| text.as_str()).collect();
    let ipsets = Ipsets::read(&sets.join("\n"));
    let mut all = Dump::default();
    for (file, name, text, kind) in texts {
        match kind {
            Kind::Xtables => {
                let hint = if name.contains('6') { Family::V6 } else { Family::V4 };
                let family = xtables::guess_family(&text).unwrap_or(hint);
                add(&mut all, xtables::read(file, &text, family, &ipsets));
            }
            Kind::Ipset => {}
            Kind::NftJson => add(&mut all, nft_json::read(&name, &text, sources)),
        }
    }
    if all.families.is_empty() {
        return Err("there is no ruleset in what was given".to_string());
    }
    Ok(all)
}

fn kind(text: &str) -> Option<Kind> {
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    if first.starts_with('{') {
        return Some(Kind::NftJson);
    }
    if first.starts_with('*') {
        return Some(Kind::Xtables);
    }
    Ipsets::is_one(text).then_some(Kind::Ipset)
}

/// Puts a second ruleset beside the first: their chains keep apart.
fn add(all: &mut Dump, more: Dump) {
    let offset = all.chains.len();
    let moved = |id: ChainId| ChainId(id.0 + offset);
    for mut chain in more.chains {
        shift(&mut chain, moved);
        all.chains.push(chain);
    }
    for family in more.families {
        if !all.families.contains(&family) {
            all.families.push(family);
        }
    }
    all.unread.extend(more.unread);
}

fn shift(chain: &mut Chain, moved: impl Fn(ChainId) -> ChainId) {
    for rule in &mut chain.rules {
        match &mut rule.verdict {
            Verdict::Jump(to) | Verdict::Goto(to) => *to = moved(*to),
            _ => {}
        }
    }
}
