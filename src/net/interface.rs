//! Interface names.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use super::{Invalid, Mistake};

/// The name of a network interface, exact: no wildcards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interface(String);

/// `IFNAMSIZ - 1` of the kernel, in bytes.
const LONGEST: usize = 15;

impl Interface {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Interface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Interface {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let refused = |message: String, help: &str| Err(Invalid::whole(Mistake::Interface, text, message, help));
        if text.ends_with('+') || text.contains('*') {
            return refused(
                format!("`{text}` looks like a pattern, and interfaces are matched by their exact name"),
                "list the interfaces by name: [eth0, eth1]",
            );
        }
        if text.is_empty() || text.len() > LONGEST {
            return refused(
                format!("`{text}` is not an interface name: the kernel allows 1 to {LONGEST} bytes"),
                "write the name as `ip link` shows it",
            );
        }
        // The kernel allows more, but quotes, blanks and the like have a meaning in rule files.
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-@~=^%".contains(&byte));
        if !plain || text.starts_with('-') || matches!(text, "." | "..") {
            return refused(
                format!("`{text}` is not an interface name that rule files can carry"),
                "use letters, digits and _ . - @ ~ = ^ %",
            );
        }
        Ok(Interface(text.to_string()))
    }
}

/// Interfaces, of which a rule asks for one; none where it asks for none, as nearly all do. Clones share them.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interfaces(Option<Arc<[Interface]>>);

impl Interfaces {
    /// None.
    pub const NONE: Interfaces = Interfaces(None);
}

impl Deref for Interfaces {
    type Target = [Interface];

    fn deref(&self) -> &[Interface] {
        self.0.as_deref().unwrap_or_default()
    }
}

impl FromIterator<Interface> for Interfaces {
    fn from_iter<I: IntoIterator<Item = Interface>>(names: I) -> Self {
        let mut names = names.into_iter().peekable();
        Interfaces(names.peek().is_some().then(|| names.collect()))
    }
}

/// An interface's name, or the start of names (`eth+` of iptables, `eth*` of nft).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfacePattern {
    /// The name, or how it starts.
    pub name: String,
    /// Whether it is only the start. A start that is empty matches every interface.
    pub prefix: bool,
}

impl InterfacePattern {
    /// Exactly this name.
    #[must_use]
    pub fn exact(name: &str) -> Self {
        InterfacePattern { name: name.to_string(), prefix: false }
    }

    /// Whether an interface of this name matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        if self.prefix { name.starts_with(&self.name) } else { self.name == name }
    }
}

impl fmt::Display for InterfacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.name, if self.prefix { "*" } else { "" })
    }
}
