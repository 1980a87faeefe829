//! Ports and port ranges.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::slice;
use std::str::FromStr;
use std::sync::Arc;

use super::range::{self, RangeSet};
use super::{Invalid, Mistake};

/// A set of ports, host byte order, never empty and never with port 0. Written `80`, `8000-8999` or `80,443,8000-8100`.
#[derive(Debug, Clone)]
pub struct PortSet(Kept);

/// Nearly every endpoint has one port or range of ports, and there are hundreds of thousands of rules with an endpoint: so that takes no memory of its own.
#[derive(Debug, Clone)]
enum Kept {
    One((u16, u16)),
    Many(Arc<RangeSet<u16>>),
}

impl PortSet {
    /// The ephemeral ports that Linux uses by default (`net.ipv4.ip_local_port_range`).
    #[must_use]
    pub fn linux_ephemeral() -> Self {
        PortSet(Kept::One((32768, 60999)))
    }

    fn of(ranges: RangeSet<u16>) -> Self {
        match ranges.ranges() {
            [one] => PortSet(Kept::One(*one)),
            _ => PortSet(Kept::Many(Arc::new(ranges))),
        }
    }

    /// The ranges, sorted, inclusive.
    #[must_use]
    pub fn ranges(&self) -> &[(u16, u16)] {
        match &self.0 {
            Kept::One(range) => slice::from_ref(range),
            Kept::Many(ranges) => ranges.ranges(),
        }
    }

    /// The port, if there is exactly one.
    #[must_use]
    pub fn as_single(&self) -> Option<u16> {
        match self.0 {
            Kept::One((first, last)) if first == last => Some(first),
            _ => None,
        }
    }

    /// Whether a port is in it.
    #[must_use]
    pub fn contains(&self, port: u16) -> bool {
        range::cover(self.ranges(), (port, port))
    }

    /// Whether all of `other` is in it.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.ranges().iter().all(|&range| range::cover(self.ranges(), range))
    }

    /// The first range that both share.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<(u16, u16)> {
        range::common(self.ranges(), other.ranges())
    }
}

impl PartialEq for PortSet {
    fn eq(&self, other: &Self) -> bool {
        self.ranges() == other.ranges()
    }
}

impl Eq for PortSet {}

impl PartialOrd for PortSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for PortSet {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ranges().cmp(other.ranges())
    }
}

impl Hash for PortSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ranges().hash(state);
    }
}

const FORMS: &str = "write a port (80), a range (8000-8999) or a list (80,443,8000-8100)";

impl FromStr for PortSet {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        // Nearly all are one port or range, and need no list.
        if !text.contains(',') && text.trim() == text {
            return one(text).map(|alone| PortSet(Kept::One(alone)));
        }
        let mut ranges = Vec::new();
        let mut offset = 0;
        for item in text.split(',') {
            let bare = item.trim();
            let lead = item.len() - item.trim_start().len();
            ranges.push(one(bare).map_err(|invalid| invalid.shifted(offset + lead))?);
            offset += item.len() + 1;
        }
        Ok(PortSet::of(RangeSet::from_ranges(ranges)))
    }
}

fn one(text: &str) -> Result<(u16, u16), Invalid> {
    let Some((from, to)) = text.split_once('-') else {
        let port = port(text)?;
        return Ok((port, port));
    };
    let start = port(from)?;
    let end = port(to).map_err(|invalid| invalid.shifted(from.len() + 1))?;
    if start > end {
        return Err(Invalid::whole(
            Mistake::Reversed,
            text,
            format!("the port range `{text}` ends before it starts"),
            format!("write {end}-{start}"),
        ));
    }
    Ok((start, end))
}

/// Parses one port from its decimal digits.
///
/// # Errors
/// When the text is anything but 1 to 65535 in plain decimal.
fn port(text: &str) -> Result<u16, Invalid> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u16>() {
        Ok(0) if digits => Err(Invalid::whole(
            Mistake::PortZero,
            text,
            "port 0 does not exist on the wire",
            "write the port that the service listens on, 1 to 65535",
        )),
        Ok(port) if digits && (text.len() == 1 || !text.starts_with('0')) => Ok(port),
        _ => Err(Invalid::whole(Mistake::Port, text, format!("`{text}` is not a port between 1 and 65535"), FORMS)),
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, &(start, end)) in self.ranges().iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            if start == end {
                write!(f, "{comma}{start}")?;
            } else {
                write!(f, "{comma}{start}-{end}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges_merge() {
        let ports: PortSet = "443, 80,8000-8100,8101".parse().unwrap();
        assert_eq!(ports.to_string(), "80,443,8000-8101");
    }

    #[test]
    fn one_range_and_several_are_told_apart_and_put_in_order_by_their_ranges() {
        let sets: Vec<PortSet> =
            ["80", "80,443", "80-90", "80-90,99", "81", "443"].map(|text| text.parse().unwrap()).to_vec();
        assert!(sets.is_sorted_by(|a, b| a < b), "{sets:?}");
        assert_eq!("80-89,90".parse::<PortSet>().unwrap(), sets[2]);
        assert_eq!(
            sets.iter().map(PortSet::as_single).collect::<Vec<_>>(),
            [Some(80), None, None, None, Some(81), Some(443)]
        );
        assert_eq!(sets[1].common(&"100-500".parse().unwrap()), Some((443, 443)));
        assert!(sets[3].contains(99) && !sets[3].contains(91) && sets[3].covers(&sets[2]));
    }

    #[test]
    fn mistakes_point_at_their_part() {
        let zero = "80,0,443".parse::<PortSet>().unwrap_err();
        assert_eq!((zero.mistake, zero.range), (Mistake::PortZero, 3..4));
        let big = "80-70000".parse::<PortSet>().unwrap_err();
        assert_eq!((big.mistake, big.range), (Mistake::Port, 3..8));
        let reversed = "90-80".parse::<PortSet>().unwrap_err();
        assert_eq!(reversed.help, "write 80-90");
        for text in ["", "0x50", "8_0", "+80", "http", "080", "-1", "80,", "80-", "٨٠"] {
            assert!(text.parse::<PortSet>().is_err(), "{text}");
        }
    }
}
