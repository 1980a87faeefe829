//! The registers through which expressions hand values to each other.

/// What an expression has loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dump) enum What {
    /// Bytes of the network header.
    Network { offset: usize },
    /// Bytes of the transport header.
    Transport { offset: usize },
    /// `NFT_META_*`
    Meta(u64),
    /// `NFT_CT_*`, and whether the original direction is meant.
    Conntrack { key: u64, original: bool },
    /// The type of an address by the routing table: flags that say which.
    AddressType(u64),
    /// An IPv6 extension header: kind, offset, and whether only its presence is asked.
    Extension { kind: u64, offset: u64, present: bool },
    /// A constant.
    Constant(Vec<u8>),
    /// Something else, in words.
    Other { text: String, volatile: bool },
}

/// A value in a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::dump) struct Loaded {
    pub(in crate::dump) what: What,
    /// Bytes.
    pub(in crate::dump) length: usize,
    /// Which bits count.
    pub(in crate::dump) mask: Option<Vec<u8>>,
}

impl Loaded {
    pub(in crate::dump) fn new(what: What, length: usize) -> Self {
        Loaded { what, length, mask: None }
    }

    /// Words for what is not understood. The same words ask the same.
    pub(in crate::dump) fn words(&self) -> (String, bool) {
        let (text, volatile) = match &self.what {
            What::Network { offset } => (format!("@nh,{},{}", offset * 8, self.length * 8), false),
            What::Transport { offset } => (format!("@th,{},{}", offset * 8, self.length * 8), false),
            What::Meta(key) => (meta_word(*key), is_volatile_meta(*key)),
            What::Conntrack { key, original } => (
                format!("ct {}key {key}", if *original { "original " } else { "" }),
                !matches!(key, 0 | 2 | 7..=12 | 17..=22),
            ),
            What::AddressType(flags) => (format!("fib {flags:#x} type"), false),
            What::Extension { kind, offset, present } => {
                (format!("exthdr {kind} @{offset}{}", if *present { " exists" } else { "" }), false)
            }
            What::Constant(bytes) => (hex(bytes), false),
            What::Other { text, volatile } => (text.clone(), *volatile),
        };
        let masked = self.mask.as_ref().map(|mask| format!(" & {}", hex(mask))).unwrap_or_default();
        (text + &masked, volatile)
    }
}

/// Names of `NFT_META_*` that hosts have in their rules.
fn meta_word(key: u64) -> String {
    let name = match key {
        1 => "protocol",
        3 => "mark",
        4 => "iif",
        5 => "oif",
        6 => "iifname",
        7 => "oifname",
        10 => "skuid",
        11 => "skgid",
        15 => "nfproto",
        16 => "l4proto",
        19 => "pkttype",
        _ => return format!("meta key {key}"),
    };
    format!("meta {name}")
}

/// Marks, priorities, randomness, the processor, the time: rules or chance may give the same packet another one.
fn is_volatile_meta(key: u64) -> bool {
    !matches!(key, 0 | 1 | 4..=11 | 13 | 15..=19 | 21 | 22)
}

pub(in crate::dump) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold("0x".to_string(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sixteen words of 4 bytes, by where a value starts.
#[derive(Debug, Default)]
pub(in crate::dump) struct Registers([Option<Loaded>; 16]);

/// A register's number as the word at which it starts: 1 to 4 are the old names of four words each.
fn word(register: u64) -> Option<usize> {
    let word = match register {
        1..=4 => (register - 1) * 4,
        8..=23 => register - 8,
        _ => return None,
    };
    usize::try_from(word).ok()
}

impl Registers {
    pub(in crate::dump) fn put(&mut self, register: Option<u64>, value: Loaded) {
        let Some(at) = register.and_then(word) else { return };
        let words = value.length.div_ceil(4).max(1);
        // A value that reaches into these words is gone, too.
        for start in 0..at {
            let reaches = self.at(start).is_some_and(|old| start + old.length.div_ceil(4) > at);
            if reaches && let Some(slot) = self.0.get_mut(start) {
                *slot = None;
            }
        }
        for slot in self.0.iter_mut().skip(at).take(words) {
            *slot = None;
        }
        if let Some(slot) = self.0.get_mut(at) {
            *slot = Some(value);
        }
    }

    pub(in crate::dump) fn get(&self, register: Option<u64>) -> Option<&Loaded> {
        self.at(word(register?)?)
    }

    fn at(&self, word: usize) -> Option<&Loaded> {
        self.0.get(word)?.as_ref()
    }

    /// The values from a register on that fill so many bytes, each padded to 4.
    pub(in crate::dump) fn several(&self, register: Option<u64>, bytes: usize) -> Option<Vec<Loaded>> {
        let mut at = word(register?)?;
        let first = self.at(at)?;
        if first.length == bytes {
            return Some(vec![first.clone()]);
        }
        let end = at + bytes.div_ceil(4);
        let mut all = Vec::new();
        while at < end {
            let value = self.at(at)?;
            at += value.length.div_ceil(4).max(1);
            all.push(value.clone());
        }
        (at == end).then_some(all)
    }

    /// Something unknown may have been loaded anywhere.
    pub(in crate::dump) fn spoil(&mut self, text: &str, volatile: bool) {
        for slot in &mut self.0 {
            *slot = Some(Loaded::new(What::Other { text: text.to_string(), volatile }, 4));
        }
    }
}
