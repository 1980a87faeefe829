//! Names of sets, services, clients and forwards.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;

use super::{Invalid, Mistake};

/// A name that a spec gives: `[a-z][a-z0-9_-]{0,31}`. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Longest name in bytes.
const LONGEST: usize = 32;

impl Name {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Name {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let rest = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-');
        if first && rest && text.len() <= LONGEST {
            return Ok(Name(Arc::from(text)));
        }
        let message = if text.len() > LONGEST {
            format!("the name `{text}` is longer than {LONGEST} characters")
        } else {
            format!("`{text}` is not a name")
        };
        Err(Invalid::whole(
            Mistake::Name,
            text,
            message,
            "start with a lower-case letter, go on with lower-case letters, digits, _ or -, 32 characters at most",
        ))
    }
}
