//! The same services for each program, in its own language.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fwc::net::Family;

/// Where the first 62,500 services of all inputs live. No two share an address or a port, so that nothing can be folded together.
pub const NETWORK: &str = "10.9.0.0/16";

/// One service's address and UDP port. `number` counts from 0; from 62,500 on they live in the networks behind [`NETWORK`].
pub fn endpoint(number: usize) -> (Ipv4Addr, u16) {
    let bytes = [9 + number / 62_500, number / 250 % 250, number % 250 + 1];
    let [second, third, fourth] = bytes.map(|byte| u8::try_from(byte).expect("few services"));
    (Ipv4Addr::new(10, second, third, fourth), u16::try_from(1000 + number * 7 % 50_000).expect("a port"))
}

/// The same in IPv6.
pub const NETWORK_V6: &str = "2001:db8:9::/48";

/// The same endpoint in either family.
pub fn endpoint_of(family: Family, number: usize) -> (IpAddr, u16) {
    let (address, port) = endpoint(number);
    let [_, _, third, fourth] = address.octets().map(u16::from);
    match family {
        Family::V4 => (address.into(), port),
        Family::V6 => (Ipv6Addr::new(0x2001, 0xdb8, 9, third, 0, 0, 0, fourth).into(), port),
    }
}

/// A spec with so many stateless services, each on an endpoint of its own.
pub fn spec(services: usize) -> String {
    spec_of(Family::V4, services)
}

/// The same in either family.
pub fn spec_of(family: Family, services: usize) -> String {
    let mut text = "services:\n".to_owned();
    for number in 0..services {
        let (address, port) = endpoint_of(family, number);
        let at = SocketAddr::new(address, port);
        let _ = writeln!(text, "  s{number}:\n    listen: \"{at}\"\n    protocol: udp\n    stateless: true");
    }
    text
}

/// The same with a range of ports for each, which is several prefixes.
pub fn port_ranges(services: usize) -> String {
    let mut text = "services:\n".to_owned();
    for number in 0..services {
        let (address, port) = endpoint(number);
        let last = port + 3_000;
        let _ = writeln!(text, "  s{number}: {{listen: \"{address}:{port}-{last}\", protocol: udp, stateless: true}}");
    }
    text
}

/// So many prefixes as a list, none beside another.
pub fn prefixes(count: u32) -> String {
    let first = u32::from(Ipv4Addr::new(20, 0, 0, 0));
    (0..count).map(|number| format!("{}/28\n", Ipv4Addr::from(first + number * 64))).collect()
}

/// The same for ferm: NOTRACK and accept, one rule a service in each of four chains.
pub fn ferm(services: usize) -> String {
    let chain = |address: &str, port: &str, target: &str| {
        (0..services).fold(String::new(), |mut text, number| {
            let (at, on) = endpoint(number);
            let _ = writeln!(text, "      proto udp {address} {at} {port} {on} {target};");
            text
        })
    };
    format!(
        "domain ip {{\n  table filter {{\n    chain INPUT {{\n      policy DROP;\n{}    }}\n    chain OUTPUT {{\n{}    }}\n  }}\n  \
         table raw {{\n    chain PREROUTING {{\n{}    }}\n    chain OUTPUT {{\n{}    }}\n  }}\n}}\n",
        chain("daddr", "dport", "ACCEPT"),
        chain("saddr", "sport", "ACCEPT"),
        chain("daddr", "dport", "NOTRACK"),
        chain("saddr", "sport", "NOTRACK"),
    )
}

/// The endpoints as elements of a concatenated set.
fn elements(services: usize) -> String {
    elements_of(Family::V4, services)
}

/// The same in either family.
pub fn elements_of(family: Family, services: usize) -> String {
    let element = |number| {
        let (address, port) = endpoint_of(family, number);
        format!("{address} . udp . {port}")
    };
    (0..services).map(element).collect::<Vec<_>>().join(",\n")
}

/// The same for nft as somebody writes it by hand who knows sets: one set with a counter an element, used four times.
pub fn nft_single_set(services: usize) -> String {
    format!(
        "table inet hand {{
    set services {{
        type ipv4_addr . inet_proto . inet_service
        counter
        elements = {{ {} }}
    }}
    chain prerouting {{
        type filter hook prerouting priority raw
        ip daddr . meta l4proto . th dport @services notrack
    }}
    chain raw_output {{
        type filter hook output priority raw
        ip saddr . meta l4proto . th sport @services notrack
    }}
    chain input {{
        type filter hook input priority filter; policy drop
        iif lo accept
        ip daddr . meta l4proto . th dport @services accept
    }}
    chain output {{
        type filter hook output priority filter
        ip saddr . meta l4proto . th sport @services accept
    }}
}}
",
        elements(services)
    )
}

/// A stateful filter for the same services, as most hosts have it.
pub fn nft_stateful(services: usize) -> String {
    format!(
        "table inet hand {{
    set services {{
        type ipv4_addr . inet_proto . inet_service
        elements = {{ {} }}
    }}
    chain input {{
        type filter hook input priority filter; policy drop
        ct state established,related accept
        iif lo accept
        ip daddr . meta l4proto . th dport @services ct state new accept
    }}
}}
",
        elements(services)
    )
}

/// A spec that drops what is listed in a file beside it.
pub const BLOCK_SPEC: &str = "\
sets:
  bad: {file: blocklist.txt}
block: [$bad]
services:
  web:
    listen: 203.0.113.5:80
    stateless: true
";
pub const BLOCK_FILE: &str = "blocklist.txt";

/// So many single addresses in no order, none beside another. At most 1,000,000, and a multiple of 1,000.
pub fn blocked(addresses: u32) -> impl Iterator<Item = Ipv4Addr> {
    scattered(addresses, if addresses > 100_000 { 3_001 } else { 10_007 })
}

/// So many addresses in no order, each so far from the next.
fn scattered(count: u32, apart: u32) -> impl Iterator<Item = Ipv4Addr> {
    let first = u32::from(Ipv4Addr::new(20, 0, 0, 0));
    let place = move |number| u32::try_from(u64::from(number) * 7_919 % u64::from(count)).expect("below the count");
    (0..count).map(move |number| Ipv4Addr::from(first + place(number) * apart))
}

/// A set file with so many addresses.
pub fn address_list(addresses: u32) -> String {
    blocked(addresses).fold(String::new(), |mut text, address| {
        let _ = writeln!(text, "{address}");
        text
    })
}

/// A set file with so many prefixes of 256 addresses, in no order, none beside another. At most 1,000,000, and a multiple of 1,000.
pub fn prefix_list(prefixes: u32) -> String {
    scattered(prefixes, 1024).fold(String::new(), |mut text, address| {
        let _ = writeln!(text, "{address}/24");
        text
    })
}

/// The same list for nft.
pub fn nft_block(addresses: u32) -> String {
    let list = blocked(addresses).map(|address| address.to_string()).collect::<Vec<_>>().join(",\n");
    format!(
        "table inet hand {{
    set bad {{
        type ipv4_addr
        elements = {{ {list} }}
    }}
    chain prerouting {{
        type filter hook prerouting priority raw
        ip saddr @bad drop
        ip daddr 203.0.113.5 tcp dport 80 notrack
    }}
    chain output {{
        type filter hook output priority raw
        ip saddr 203.0.113.5 tcp sport 80 notrack
    }}
    chain input {{
        type filter hook input priority filter; policy drop
        iif lo accept
        ip daddr 203.0.113.5 tcp dport 80 accept
    }}
}}
"
    )
}

/// Up to a million single addresses of which none is beside another in IPv4, `more` among them: as lines of a file.
pub fn block_list(family: Family, addresses: u32, more: impl Iterator<Item = IpAddr>) -> String {
    let first = u32::from(Ipv4Addr::new(20, 0, 0, 0));
    let address = |number: u32| -> IpAddr {
        match family {
            Family::V4 => Ipv4Addr::from(first + number * 97).into(),
            Family::V6 => Ipv6Addr::from_bits((0x2001_0db8_0bad << 80) + u128::from(number)).into(),
        }
    };
    more.chain((0..addresses).map(address)).take(addresses as usize).fold(String::new(), |mut text, address| {
        let _ = writeln!(text, "{address}");
        text
    })
}
