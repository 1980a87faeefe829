//! Addresses, prefixes, ranges of addresses, and sets of them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};

use super::{Invalid, Mistake, RangeSet};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both, in the order in which fwc writes them.
    pub const BOTH: [Family; 2] = [Family::V4, Family::V6];

    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        })
    }
}

/// One address, prefix or `a-b` range, both ends included. The ends are of one family and in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddrRange {
    /// IPv4, host byte order.
    V4(u32, u32),
    /// IPv6, host byte order.
    V6(u128, u128),
}

impl AddrRange {
    /// A single address.
    #[must_use]
    pub fn host(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(a) => AddrRange::V4(a.to_bits(), a.to_bits()),
            IpAddr::V6(a) => AddrRange::V6(a.to_bits(), a.to_bits()),
        }
    }

    /// The addresses between two of one family, both included, in whatever order they are given.
    #[must_use]
    pub fn between(one: IpAddr, other: IpAddr) -> Option<Self> {
        match (one, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => Some(AddrRange::V4(a.min(b).to_bits(), a.max(b).to_bits())),
            (IpAddr::V6(a), IpAddr::V6(b)) => Some(AddrRange::V6(a.min(b).to_bits(), a.max(b).to_bits())),
            _ => None,
        }
    }

    /// The family.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            AddrRange::V4(..) => Family::V4,
            AddrRange::V6(..) => Family::V6,
        }
    }

    /// The address, if there is only one.
    #[must_use]
    pub fn as_host(&self) -> Option<IpAddr> {
        (self.first() == self.last()).then(|| self.first())
    }

    /// The first address.
    #[must_use]
    pub fn first(&self) -> IpAddr {
        match *self {
            AddrRange::V4(start, _) => Ipv4Addr::from_bits(start).into(),
            AddrRange::V6(start, _) => Ipv6Addr::from_bits(start).into(),
        }
    }

    /// The last address.
    #[must_use]
    pub fn last(&self) -> IpAddr {
        match *self {
            AddrRange::V4(_, end) => Ipv4Addr::from_bits(end).into(),
            AddrRange::V6(_, end) => Ipv6Addr::from_bits(end).into(),
        }
    }

    /// The shortest list of prefixes that covers exactly this range.
    #[must_use]
    pub fn prefixes(&self) -> Vec<IpNet> {
        match *self {
            AddrRange::V4(start, end) => Ipv4Subnets::new(start.into(), end.into(), 0).map(IpNet::V4).collect(),
            AddrRange::V6(start, end) => Ipv6Subnets::new(start.into(), end.into(), 0).map(IpNet::V6).collect(),
        }
    }
}

impl fmt::Display for AddrRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = self.as_host() {
            return write!(f, "{host}");
        }
        match self.prefixes().as_slice() {
            [prefix] => write!(f, "{prefix}"),
            _ => write!(f, "{}-{}", self.first(), self.last()),
        }
    }
}

const FORMS: &str =
    "write an address (192.0.2.7), a prefix (192.0.2.0/24, 2001:db8::/32) or a range (192.0.2.1-192.0.2.9)";

impl FromStr for AddrRange {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.contains('/') {
            return prefix(text);
        }
        if let Some((from, to)) = text.split_once('-') {
            return range(text, from, to);
        }
        address(text).map(AddrRange::host)
    }
}

fn address(text: &str) -> Result<IpAddr, Invalid> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(inner) = bare.filter(|inner| inner.parse::<Ipv6Addr>().is_ok()) {
        return Err(Invalid::whole(
            Mistake::Address,
            text,
            "an address without a port takes no brackets".to_string(),
            format!("write {inner}"),
        ));
    }
    let parsed: IpAddr = text
        .parse()
        .map_err(|_| Invalid::whole(Mistake::Address, text, format!("`{text}` is not an IP address"), FORMS))?;
    if let IpAddr::V6(v6) = parsed
        && let Some(v4) = v6.to_ipv4_mapped()
    {
        return Err(Invalid::whole(
            Mistake::Address,
            text,
            format!("`{text}` is an IPv4-mapped address, which never appears in a packet"),
            format!("write {v4}"),
        ));
    }
    Ok(parsed)
}

fn prefix(text: &str) -> Result<AddrRange, Invalid> {
    let net: IpNet =
        text.parse().map_err(|_| Invalid::whole(Mistake::Address, text, format!("`{text}` is not a prefix"), FORMS))?;
    if net.addr() != net.network() {
        let network = net.trunc();
        return Err(Invalid::whole(
            Mistake::HostBits,
            text,
            format!("`{text}` has bits set behind its prefix length"),
            format!("write {network} for the network, or {} for the one address", net.addr()),
        ));
    }
    Ok(match net {
        IpNet::V4(net) => AddrRange::V4(net.network().to_bits(), net.broadcast().to_bits()),
        IpNet::V6(net) => AddrRange::V6(net.network().to_bits(), net.broadcast().to_bits()),
    })
}

fn range(text: &str, from: &str, to: &str) -> Result<AddrRange, Invalid> {
    let start = address(from.trim_end())?;
    let offset = text.len() - to.trim_start().len();
    let end = address(to.trim_start()).map_err(|invalid| invalid.shifted(offset))?;
    match (start, end) {
        (IpAddr::V4(a), IpAddr::V4(b)) if a <= b => Ok(AddrRange::V4(a.to_bits(), b.to_bits())),
        (IpAddr::V6(a), IpAddr::V6(b)) if a <= b => Ok(AddrRange::V6(a.to_bits(), b.to_bits())),
        _ if start.is_ipv4() == end.is_ipv4() => Err(Invalid::whole(
            Mistake::Reversed,
            text,
            format!("the range `{text}` ends before it starts"),
            format!("write {end}-{start}"),
        )),
        _ => Err(Invalid::whole(
            Mistake::Address,
            text,
            format!("the range `{text}` mixes IPv4 and IPv6"),
            "write two ranges, one for each family",
        )),
    }
}

/// Any set of addresses of both families, merged.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AddressSet {
    /// IPv4, host byte order.
    pub v4: RangeSet<u32>,
    /// IPv6, host byte order.
    pub v6: RangeSet<u128>,
}

impl AddressSet {
    /// Every address.
    #[must_use]
    pub fn all() -> Self {
        AddressSet { v4: RangeSet::all(), v6: RangeSet::all() }
    }

    /// Whether it holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether it holds an address of this family.
    #[must_use]
    pub fn has(&self, family: Family) -> bool {
        match family {
            Family::V4 => !self.v4.is_empty(),
            Family::V6 => !self.v6.is_empty(),
        }
    }

    /// Whether it holds this address.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(a) => self.v4.contains(a.to_bits()),
            IpAddr::V6(a) => self.v6.contains(a.to_bits()),
        }
    }

    /// Whether it holds all of a range.
    #[must_use]
    pub fn covers(&self, range: AddrRange) -> bool {
        match range {
            AddrRange::V4(start, end) => self.v4.covers(start, end),
            AddrRange::V6(start, end) => self.v6.covers(start, end),
        }
    }

    /// Whether the two share an address.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.v4.overlaps(&other.v4) || self.v6.overlaps(&other.v6)
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        AddressSet { v4: self.v4.intersection(&other.v4), v6: self.v6.intersection(&other.v6) }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        AddressSet { v4: self.v4.union(&other.v4), v6: self.v6.union(&other.v6) }
    }

    /// The ranges of one family, merged and sorted.
    pub fn ranges(&self, family: Family) -> impl Iterator<Item = AddrRange> + '_ {
        let v4 = if family == Family::V4 { self.v4.ranges() } else { &[] };
        let v6 = if family == Family::V6 { self.v6.ranges() } else { &[] };
        v4.iter()
            .map(|&(start, end)| AddrRange::V4(start, end))
            .chain(v6.iter().map(|&(start, end)| AddrRange::V6(start, end)))
    }
}

/// Ranges of addresses as they come, by family: millions of IPv4 take a sixth of what they would as a list of [`AddrRange`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRanges {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl AddressRanges {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Takes one in.
    pub fn push(&mut self, range: AddrRange) {
        match range {
            AddrRange::V4(start, end) => self.v4.push((start, end)),
            AddrRange::V6(start, end) => self.v6.push((start, end)),
        }
    }

    /// Takes others in.
    pub fn append(&mut self, others: &Self) {
        self.v4.extend_from_slice(&others.v4);
        self.v6.extend_from_slice(&others.v6);
    }

    /// Takes those of a set in.
    pub fn append_set(&mut self, set: &AddressSet) {
        self.v4.extend_from_slice(set.v4.ranges());
        self.v6.extend_from_slice(set.v6.ranges());
    }
}

impl From<AddressRanges> for AddressSet {
    fn from(ranges: AddressRanges) -> Self {
        AddressSet { v4: RangeSet::from_ranges(ranges.v4), v6: RangeSet::from_ranges(ranges.v6) }
    }
}

impl FromIterator<AddrRange> for AddressSet {
    fn from_iter<I: IntoIterator<Item = AddrRange>>(items: I) -> Self {
        let mut ranges = AddressRanges::default();
        items.into_iter().for_each(|range| ranges.push(range));
        ranges.into()
    }
}
