//! The spec's `conntrack` section on the live host: what is to be set, what speaks against it, setting it and putting it back.
//!
//! The sizes are set right before the rules are loaded, so that tracking never begins with the old ones and a refusal leaves everything as it was.

use std::fs;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::geteuid;
use serde::Serialize;

use crate::compile::Compiled;
use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::{
    host_failure, size_absent, size_not_writable, size_refused, table_below_count, table_large, table_too_large,
};
use crate::kernel::host::{conntrack, memory};
use crate::kernel::sizing::{self, Former, Scope, Setting, machine_wide_writable, may_write};
use crate::policy::table_bytes;
use crate::source::Place;

/// What an apply would set, and what was found on the way.
pub(crate) struct Look {
    changes: Vec<Setting>,
    pub(crate) found: Vec<Diagnostic>,
}

/// Whether the spec asks for sizes that do not exist before the kernel has loaded nf_conntrack, which its rules make it do.
pub(crate) fn awaits_module(compiled: &Compiled) -> bool {
    let settings = sizing::settings(&compiled.policy.sizing);
    compiled.policy.tracks && !settings.is_empty() && conntrack().is_none()
}

/// Looks at the host. Nothing is changed.
pub(crate) fn look(compiled: &Compiled) -> Look {
    let mut look = Look { changes: Vec::new(), found: Vec::new() };
    let (mut absent, mut foreign, mut unwritable) = (Vec::new(), Vec::new(), Vec::new());
    let machine = machine_wide_writable();
    let in_first = !(geteuid().is_root() && matches!(machine, Err(Errno::EACCES | Errno::EPERM)));
    for setting in sizing::settings(&compiled.policy.sizing) {
        let text = match sizing::read([setting.path.as_path()]) {
            Ok(mut former) => former.remove(&setting.path),
            Err(error) => {
                unwritable.push((setting, error.errno));
                continue;
            }
        };
        let may = if setting.scope == Scope::Machine {
            machine.and(may_write(&setting.path))
        } else {
            may_write(&setting.path)
        };
        match (text, may) {
            (None, _) => absent.push(setting),
            (Some(text), _) if setting.is_met_by(&text) => {}
            (Some(_), Ok(())) => look.changes.push(setting),
            (Some(text), Err(_)) if setting.scope == Scope::Machine && !in_first => foreign.push((setting, text)),
            (Some(_), Err(errno)) => unwritable.push((setting, errno)),
        }
    }
    look.found.extend(tell_foreign(&foreign));
    look.found.extend(tell_unwritable(&unwritable));
    look.found.extend(tell_absent(&absent));
    look.found.extend(memory_share(&look.changes));
    look.found.extend(below_count(&look.changes));
    look
}

/// Keys as a message names them: `` `conntrack.max` and `conntrack.buckets` ``.
fn keys<'a>(settings: impl Iterator<Item = &'a Setting>) -> String {
    let keys: Vec<String> = settings.map(|setting| format!("`conntrack.{}`", setting.key)).collect();
    and(&keys)
}

fn places<'a>(settings: impl Iterator<Item = &'a Setting>) -> Vec<Place> {
    settings.map(|setting| setting.place).collect()
}

fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [word] => word.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn tell_foreign(foreign: &[(Setting, String)]) -> Option<Diagnostic> {
    if foreign.is_empty() {
        return None;
    }
    let settings = || foreign.iter().map(|(setting, _)| setting);
    let now: Vec<String> = foreign.iter().map(|(_, text)| text.clone()).collect();
    let command = |setting: &Setting| format!("`echo {} > {}`", setting.value, setting.path.display());
    let commands: Vec<String> = settings().map(command).collect();
    Some(size_not_writable::machine_wide(&keys(settings()), &and(&now), &and(&commands), &places(settings())))
}

fn tell_unwritable(unwritable: &[(Setting, Errno)]) -> Option<Diagnostic> {
    let (first, errno) = unwritable.first()?;
    let settings = || unwritable.iter().map(|(setting, _)| setting);
    let why = format!("{} cannot be written: {}", first.path.display(), errno.desc());
    Some(size_not_writable::not_writable(&keys(settings()), &why, &places(settings())))
}

fn tell_absent(absent: &[Setting]) -> Option<Diagnostic> {
    let first = absent.first()?;
    let (keys, places) = (keys(absent.iter()), places(absent.iter()));
    Some(match conntrack() {
        None => size_absent::not_loaded(&keys, &places),
        Some(_) => size_absent::unknown(&keys, &first.path.display().to_string(), &places),
    })
}

/// FWC431, FWC432: a table that grows beyond a share of the memory.
fn memory_share(changes: &[Setting]) -> Option<Diagnostic> {
    let wanted = |key: &str| changes.iter().find(|setting| setting.key == key);
    let (max, buckets) = (wanted("max"), wanted("buckets"));
    let place = max.or(buckets)?.place;
    let (now, memory) = (conntrack()?, memory()?);
    let value = |setting: Option<&Setting>, now: u64| setting.map_or(now, |setting| u64::from(setting.value));
    let table = table_bytes(value(max, now.max), value(buckets, now.buckets));
    let fits = memory / 4 / table_bytes(1, 1);
    if table <= table_bytes(now.max, now.buckets) || table <= memory / 4 {
        return None;
    }
    let report = if table > memory / 2 { table_too_large::report } else { table_large::report };
    Some(report(table, memory, fits, place))
}

/// FWC435: fewer entries allowed than there are.
fn below_count(changes: &[Setting]) -> Option<Diagnostic> {
    let max = changes.iter().find(|setting| setting.key == "max")?;
    let count = conntrack()?.count;
    (u64::from(max.value) < count).then(|| table_below_count::report(count, max.value, max.place))
}

/// A value that was set.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Change {
    /// The key in the spec's `conntrack` section.
    pub(crate) key: String,
    /// The file.
    path: String,
    /// What it held.
    pub(crate) from: String,
    /// What it holds now: the kernel rounds the buckets up.
    pub(crate) to: String,
}

/// What was set so far, and what was there before.
#[derive(Debug, Default)]
pub(crate) struct Sized {
    former: Former,
    changes: Vec<Change>,
}

impl Look {
    /// What would be set.
    pub(crate) fn would_change(&self) -> Vec<Change> {
        let change = |setting: &Setting| Change {
            key: setting.key.clone(),
            path: setting.path.display().to_string(),
            from: now(&setting.path).unwrap_or_default(),
            to: setting.value.to_string(),
        };
        self.changes.iter().map(change).collect()
    }
}

impl Sized {
    /// Leaves everything as it is set now, and gives what was changed.
    pub(crate) fn keep(&mut self) -> Vec<Change> {
        self.former.clear();
        std::mem::take(&mut self.changes)
    }

    /// What stood there before the apply: what it has changed so far, and what it is about to change.
    pub(crate) fn former_with(&self, look: &Look) -> Former {
        let mut former = self.former.clone();
        for setting in &look.changes {
            let Some(text) = now(&setting.path) else { continue };
            former.entry(setting.path.clone()).or_insert(text);
        }
        former
    }

    /// Sets what a look found to be set.
    ///
    /// # Errors
    /// The kernel refuses a value. Those before it are put back.
    pub(crate) fn set(&mut self, look: &Look) -> Result<(), Diagnostic> {
        let former = sizing::write(&look.changes).map_err(|error| {
            let setting = look.changes.iter().find(|setting| setting.path == error.path);
            match setting {
                Some(setting) => size_refused::report(&setting.key, &error.to_string(), setting.place),
                None => host_failure::report(error.to_string(), "nothing was changed; try again"),
            }
        })?;
        for setting in &look.changes {
            let Some(from) = former.get(&setting.path) else { continue };
            self.changes.push(Change {
                key: setting.key.clone(),
                path: setting.path.display().to_string(),
                from: from.clone(),
                to: now(&setting.path).unwrap_or_else(|| setting.value.to_string()),
            });
            // What was there at the first attempt counts.
            self.former.entry(setting.path.clone()).or_insert_with(|| from.clone());
        }
        Ok(())
    }

    /// Puts everything back.
    pub(crate) fn undo(&self) -> Vec<Diagnostic> {
        let failed = sizing::restore(&self.former).err().unwrap_or_default();
        let report = |error: sizing::SizingError| {
            host_failure::report(
                format!("the size of the conntrack table could not be put back: {error}"),
                "write it by hand",
            )
        };
        failed.into_iter().map(report).collect()
    }
}

fn now(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim_end().to_string())
}
