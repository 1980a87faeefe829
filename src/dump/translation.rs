//! What a NAT rule makes of a flow.

use std::fmt::{self, Display};
use std::net::IpAddr;

/// What a NAT rule does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Translation {
    /// Which kind.
    pub kind: TranslationKind,
    /// The first and last of the new addresses, where given.
    pub address: Option<(IpAddr, IpAddr)>,
    /// The first and last of the new ports, where given.
    pub ports: Option<(u16, u16)>,
    /// What it gives anew without saying here what: a map or a hash decides, or the reader does not understand it. It is `None` above.
    pub varies: Varies,
}

/// What of a translation hangs on the packet, or is not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Varies {
    /// The new address.
    pub address: bool,
    /// The new port.
    pub port: bool,
}

impl Varies {
    /// Nothing is known.
    pub const ALL: Varies = Varies { address: true, port: true };
}

/// The kinds of NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TranslationKind {
    /// The source becomes the outgoing interface's address.
    Masquerade,
    /// The source becomes another.
    Snat,
    /// The destination becomes another.
    Dnat,
    /// The destination becomes this host.
    Redirect,
    /// Each address of a network becomes the one at the same place in another: the destination before routing, the source after it.
    Netmap,
}

impl Display for Translation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            TranslationKind::Masquerade => "masquerade",
            TranslationKind::Snat => "snat",
            TranslationKind::Dnat => "dnat",
            TranslationKind::Redirect => "redirect",
            TranslationKind::Netmap => "netmap",
        })?;
        if self.varies != Varies::default() {
            return f.write_str(" to …");
        }
        let v6 = |address: &IpAddr| if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
        let range = |first: String, last: String| if first == last { first } else { format!("{first}-{last}") };
        let address = self.address.map(|(first, last)| range(v6(&first), v6(&last))).unwrap_or_default();
        let ports = self.ports.map(|(first, last)| format!(":{}", range(first.to_string(), last.to_string())));
        let ports = ports.unwrap_or_default();
        if address.is_empty() && ports.is_empty() { Ok(()) } else { write!(f, " to {address}{ports}") }
    }
}
