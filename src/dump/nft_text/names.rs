//! Words of nft's text as numbers.

use crate::dump::nft_names::{ICMP, ICMPV6, Names, PROTOCOLS, TCP_FLAGS, named};

pub(super) fn protocol(word: &str) -> Option<u8> {
    either(PROTOCOLS, word)
}

pub(super) fn icmp(word: &str) -> Option<u8> {
    either(ICMP, word)
}

pub(super) fn icmpv6(word: &str) -> Option<u8> {
    either(ICMPV6, word)
}

pub(super) fn tcp_flag(word: &str) -> Option<u8> {
    either(TCP_FLAGS, word)
}

fn either(names: Names, word: &str) -> Option<u8> {
    number(word).or_else(|| u8::try_from(named(names, word)?).ok())
}

/// A number, decimal or `0x…`.
pub(super) fn number<T: TryFrom<u32>>(word: &str) -> Option<T> {
    let digits = |text: &str, radix: u32| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        plain.then(|| u32::from_str_radix(text, radix).ok()).flatten()
    };
    let number = match word.strip_prefix("0x") {
        Some(hex) => digits(hex, 16),
        // To nft, which asks the C library, a number that begins with 0 is octal.
        None if word.len() > 1 && word.starts_with('0') => None,
        None => digits(word, 10),
    };
    T::try_from(number?).ok()
}
