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

/// The units, from the largest down, with their seconds.
const UNITS: [(char, u32); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

impl FromStr for Seconds {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        part(text).and_then(|(seconds, _)| Seconds::within(seconds)).ok_or_else(|| {
            let longest = LONGEST;
            refused(
                text,
                format!("write whole seconds, minutes, hours or days (1000s, 30m, 12h, 5d), 1s to {longest}s"),
            )
        })
    }
}

impl Seconds {
    /// A duration as a person types it behind a command: like one of a spec, and also several units together, from the largest down (`1m30s`). A bare
    /// number is seconds in both. The schema of specs knows one unit only, so a spec takes no more.
    ///
    /// # Errors
    /// It is no such duration.
    pub fn typed(text: &str) -> Result<Self, Invalid> {
        if let Ok(one) = text.parse() {
            return Ok(one);
        }
        let mut sum = Some(0_u32);
        let mut smaller_than = u32::MAX;
        for one in text.split_inclusive(|letter: char| letter.is_ascii_alphabetic()) {
            let found = part(one).and_then(|(seconds, unit)| Some((seconds, unit?)));
            let fitting = found.filter(|(_, unit)| *unit < smaller_than);
            smaller_than = fitting.map_or(0, |(_, unit)| unit);
            sum = sum.zip(fitting).and_then(|(sum, (seconds, _))| sum.checked_add(seconds));
        }
        sum.and_then(Seconds::within).ok_or_else(|| {
            let longest = LONGEST;
            refused(text, format!("write seconds, minutes, hours or days, as in 60s, 5m or 1m30s, 1s to {longest}s"))
        })
    }

    fn within(seconds: u32) -> Option<Self> {
        (1..=LONGEST).contains(&seconds).then_some(Seconds(seconds))
    }
}

/// The kernel keeps timeouts as jiffies in a signed 32-bit value at up to 1000 Hz.
const LONGEST: u32 = i32::MAX.unsigned_abs() / 1000;

/// A number with a unit or without one: its seconds, and those of the unit.
fn part(text: &str) -> Option<(u32, Option<u32>)> {
    let unit = UNITS.into_iter().find_map(|(letter, seconds)| Some((text.strip_suffix(letter)?, seconds)));
    let (digits, unit) = unit.map_or((text, None), |(digits, seconds)| (digits, Some(seconds)));
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let count = digits.parse::<u32>().ok().filter(|_| is_plain)?;
    Some((count.checked_mul(unit.unwrap_or(1))?, unit))
}

fn refused(text: &str, help: String) -> Invalid {
    Invalid::whole(Mistake::Duration, text, format!("`{text}` is not a duration"), help)
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

    #[test]
    fn units_are_added_up_where_they_are_typed() {
        for (text, seconds) in [
            ("1m30s", 90),
            ("1h30m", 5_400),
            ("1d2h3m4s", 93_784),
            ("1h0m5s", 3_605),
            ("0m5s", 5),
            // As in a spec.
            ("5", 5),
            ("5s", 5),
            ("5d", 432_000),
        ] {
            assert_eq!(Seconds::typed(text).unwrap(), Seconds(seconds), "{text}");
        }
        for text in ["", "m", "30s1m", "1m1m", "1m30", "1m 30s", "m30s", "0m0s", "1m-5s", "20d9999h", "1w2d", "1mé"] {
            let invalid = Seconds::typed(text).unwrap_err();
            assert!(invalid.help.contains("1m30s"), "{text}: {invalid:?}");
        }
        for text in ["1m30s", "1h0m5s"] {
            assert!(text.parse::<Seconds>().is_err(), "the schema of specs has no {text}");
        }
    }
}
