//! Durations.

use std::fmt;
use std::str::FromStr;

use super::{Invalid, Mistake};

/// A duration in whole seconds, as conntrack timeouts are set. Written `1000s`, `30m`, `12h`, `5d`, or a bare number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seconds(pub u32);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}s", self.0)
    }
}

impl FromStr for Seconds {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (digits, unit) = match text.chars().last() {
            Some('s') => (text.strip_suffix('s'), 1),
            Some('m') => (text.strip_suffix('m'), 60),
            Some('h') => (text.strip_suffix('h'), 3_600),
            Some('d') => (text.strip_suffix('d'), 86_400),
            _ => (Some(text), 1),
        };
        let digits = digits.unwrap_or("");
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        // The kernel keeps timeouts as jiffies in a signed 32-bit value at up to 1000 Hz.
        let longest = u32::try_from(i32::MAX / 1000).unwrap_or(0);
        digits
            .parse::<u32>()
            .ok()
            .filter(|_| plain)
            .and_then(|count| count.checked_mul(unit))
            .filter(|seconds| (1..=longest).contains(seconds))
            .map(Seconds)
            .ok_or_else(|| {
                Invalid::whole(
                    Mistake::Duration,
                    text,
                    format!("`{text}` is not a duration"),
                    format!("write whole seconds, minutes, hours or days (1000s, 30m, 12h, 5d), 1s to {longest}s"),
                )
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_become_seconds() {
        for (text, seconds) in [("1000s", 1000), ("30m", 1800), ("12h", 43_200), ("5d", 432_000), ("90", 90)] {
            assert_eq!(text.parse::<Seconds>().unwrap(), Seconds(seconds));
        }
        for text in ["", "s", "0", "0s", "-5s", "1.5h", "9999999d", "5 m", "5w", "1e3", "٣s"] {
            assert!(text.parse::<Seconds>().is_err(), "{text}");
        }
    }
}
