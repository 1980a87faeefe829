//! The rules of others on this host: every table of nf_tables but fwc's own, and the tables of legacy iptables.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::diagnostic::Diagnostic;
use crate::diagnostic::finding::unseen_host;
use crate::dump::ipset::Ipsets;
use crate::dump::{Dump, netlink, xtables};
use crate::kernel::listing;
use crate::kernel::socket::Socket;
use crate::net::Family;
use crate::source::Sources;

/// Rulesets of others, and what could not be read of them.
#[derive(Default)]
pub(super) struct Others {
    pub(super) rulesets: Vec<Ruleset>,
    pub(super) sources: Sources,
    pub(super) unseen: Vec<Diagnostic>,
}

/// What one program or the kernel has told.
pub(super) struct Ruleset {
    pub(super) dump: Dump,
    /// The program by which a person changes it, where it is one of legacy iptables.
    pub(super) legacy: Option<&'static str>,
}

/// Reads them all.
pub(super) fn read(socket: &mut Socket) -> Others {
    let mut others = Others::default();
    others.nf_tables(socket);
    for family in Family::BOTH {
        others.legacy(family);
    }
    others
}

impl Others {
    fn nf_tables(&mut self, socket: &mut Socket) {
        let listed = listing::other_tables(socket).map_err(|error| error.to_string());
        let read = listed.and_then(|bytes| {
            netlink::of_messages(&bytes, &mut self.sources, "nf_tables").map_err(|why| why.to_string())
        });
        match read {
            Ok(dump) => {
                // ARP is not what a spec speaks of.
                for unread in dump.unread.iter().filter(|unread| !unread.why.starts_with("table arp ")) {
                    let (what, why) = unread.why.split_once(": ").unwrap_or(("a part of nf_tables", &unread.why));
                    self.unseen.push(unseen_host::report(what, why));
                }
                self.rulesets.push(Ruleset { dump, legacy: None });
            }
            Err(why) => self.unseen.push(unseen_host::report("the tables of nf_tables", &why)),
        }
    }

    /// The tables that are loaded, as the program itself writes them down. Where none is, nothing is started.
    fn legacy(&mut self, family: Family) {
        let (names, save, program) = match family {
            Family::V4 => ("ip_tables_names", "iptables-legacy-save", "iptables-legacy"),
            Family::V6 => ("ip6_tables_names", "ip6tables-legacy-save", "ip6tables-legacy"),
        };
        // Where the names cannot be read, the search for NAT has said so.
        let loaded = fs::read_to_string(format!("/proc/thread-self/net/{names}")).unwrap_or_default();
        if loaded.trim().is_empty() {
            return;
        }
        match saved(save) {
            Ok(text) => {
                let file = self.sources.add(save, text.as_str());
                let dump = xtables::read(file, &text, family, &Ipsets::read(""));
                for unread in &dump.unread {
                    let line = format!("`{}` of {program}", self.sources.at(unread.place));
                    self.unseen.push(unseen_host::report(&line, &unread.why));
                }
                self.rulesets.push(Ruleset { dump, legacy: Some(program) });
            }
            Err(why) => {
                let tables: Vec<&str> = loaded.split_whitespace().collect();
                let what = format!("what the {} of {program} would drop", tables_word(&tables));
                self.unseen.push(unseen_host::report(&what, &why));
            }
        }
    }
}

fn tables_word(tables: &[&str]) -> String {
    match tables {
        [one] => format!("table {one}"),
        all => format!("tables {}", all.join(", ")),
    }
}

/// Where distributions put the programs of an administrator. The path of whoever runs fwc does not count.
const FOLDERS: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin", "/run/current-system/sw/bin"];

fn saved(program: &str) -> Result<String, String> {
    let path = FOLDERS.iter().map(|folder| Path::new(folder).join(program)).find(|path| path.exists());
    let path = path.ok_or_else(|| format!("{program} is not installed"))?;
    let ran = Command::new(path).env_clear().stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if !ran.status.success() {
        let said = String::from_utf8_lossy(&ran.stderr);
        return Err(format!("{program} says: {}", said.lines().next().unwrap_or("nothing")));
    }
    Ok(String::from_utf8_lossy(&ran.stdout).into_owned())
}
