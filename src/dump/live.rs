//! Everything that is live on this host but fwc's own: every table of nf_tables and the tables of legacy iptables, each listed once.

use nix::net::if_::if_indextoname;

use super::{Dump, netlink, xtables};
use crate::kernel::socket::Socket;
use crate::kernel::{KernelError, legacy, listing};
use crate::net::Family;
use crate::source::Sources;

/// The rulesets of others, and what could not be read of them.
#[derive(Default)]
pub struct Live {
    /// The tables of nf_tables, then those of legacy iptables and ip6tables, as far as there are any.
    pub rulesets: Vec<Ruleset>,
    /// The listings in which their rules have their places.
    pub sources: Sources,
    /// What could not be read at all.
    pub unseen: Vec<Unseen>,
}

/// What the kernel holds for one kind of programs.
pub struct Ruleset {
    /// The rules.
    pub dump: Dump,
    /// The program by which a person changes it, where it is one of legacy iptables.
    pub legacy: Option<&'static str>,
}

/// A place where rules may be that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// The place, as in `nf_tables` or `the table nat of ip6tables-legacy`.
    pub what: String,
    /// Why.
    pub why: KernelError,
}

/// Reads the rules in the network namespace of the calling thread, in which the socket must have been opened.
pub fn read(socket: &mut Socket) -> Live {
    let mut live = Live::default();
    live.nf_tables(socket);
    for family in Family::BOTH {
        live.legacy(family);
    }
    live
}

impl Live {
    fn nf_tables(&mut self, socket: &mut Socket) {
        let malformed = |why| KernelError::Malformed { asked: "list the ruleset", why };
        let read = listing::other_tables(socket).and_then(|bytes| {
            netlink::of_this_host(&bytes, interface, &mut self.sources, "nf_tables").map_err(malformed)
        });
        match read {
            Ok(dump) => self.rulesets.push(Ruleset { dump, legacy: None }),
            Err(why) => self.unseen.push(Unseen { what: "nf_tables".to_string(), why }),
        }
    }

    /// The tables that are loaded: asking for others would load them.
    fn legacy(&mut self, family: Family) {
        let program = match family {
            Family::V4 => "iptables-legacy",
            Family::V6 => "ip6tables-legacy",
        };
        let names = match legacy::names(family) {
            Ok(names) => names,
            Err(why) => return self.unseen.push(Unseen { what: format!("the tables of {program}"), why }),
        };
        let mut tables = Vec::new();
        for name in names {
            match legacy::table(family, &name) {
                Ok(table) => tables.push(table),
                Err(why) => self.unseen.push(Unseen { what: format!("the table {name} of {program}"), why }),
            }
        }
        if tables.is_empty() {
            return;
        }
        match xtables::of_tables(&tables, family, &mut self.sources, program) {
            Ok(dump) => self.rulesets.push(Ruleset { dump, legacy: Some(program) }),
            Err(why) => {
                let why = KernelError::Malformed { asked: "list the legacy tables", why };
                self.unseen.push(Unseen { what: format!("the tables of {program}"), why });
            }
        }
    }
}

/// The name of the interface with an index.
fn interface(index: u32) -> Option<String> {
    if_indextoname(index).ok()?.to_str().ok().map(str::to_string)
}
