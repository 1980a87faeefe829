//! Endpoints: `ADDR:PORTS`.

use std::str::FromStr;

use super::{AddrRange, Invalid, Mistake, Name, PortSet};

/// The address part of an endpoint, or an item of a list of addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AddressPattern {
    /// `*`: in `listen` every address of this host, elsewhere any address; both families.
    Any,
    /// An address, prefix or range.
    Range(AddrRange),
    /// `$name`: a set of the spec.
    Set(Name),
}

/// What a service listens on, or what a client talks to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Where.
    pub address: AddressPattern,
    /// The ports; none for a protocol without ports.
    pub ports: Option<PortSet>,
}

const FORMS: &str = "write ADDR:PORTS, with IPv6 in brackets: 203.0.113.5:80, [2001:db8::5]:443, *:22, $set:53";

impl FromStr for AddressPattern {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text == "*" {
            return Ok(AddressPattern::Any);
        }
        if let Some(name) = text.strip_prefix('$') {
            return name.parse().map(AddressPattern::Set).map_err(|invalid: Invalid| invalid.shifted(1));
        }
        text.parse().map(AddressPattern::Range)
    }
}

impl FromStr for Endpoint {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        if let Some(inside) = text.strip_prefix('[') {
            return bracketed(text, inside);
        }
        let colons = text.bytes().filter(|&byte| byte == b':').count();
        if colons > 1 {
            return unbracketed(text);
        }
        match text.split_once(':') {
            None => Ok(Endpoint { address: pattern(text)?, ports: None }),
            Some(("", _)) => Err(Invalid::whole(
                Mistake::Address,
                text,
                format!("`{text}` has no address"),
                format!("write `*{text}` for every address"),
            )),
            Some((address, ports)) => {
                let address_part = pattern(address)?;
                let ports = ports.parse().map_err(|invalid: Invalid| invalid.shifted(address.len() + 1))?;
                Ok(Endpoint { address: address_part, ports: Some(ports) })
            }
        }
    }
}

/// The address part, with an endpoint's own advice where it is a bare port or otherwise no address.
fn pattern(text: &str) -> Result<AddressPattern, Invalid> {
    text.parse().map_err(|invalid: Invalid| {
        if !text.is_empty() && text.parse::<PortSet>().is_ok() {
            let help = format!("write `*:{text}` for every address, or ADDR:{text}");
            return Invalid::whole(Mistake::Address, text, format!("`{text}` is a port without an address"), help);
        }
        if invalid.mistake == Mistake::Address && !text.contains(['/', '-']) {
            return Invalid { help: FORMS.to_string(), ..invalid };
        }
        invalid
    })
}

fn bracketed(text: &str, inside: &str) -> Result<Endpoint, Invalid> {
    let Some((address, rest)) = inside.split_once(']') else {
        return Err(Invalid::whole(Mistake::Address, text, format!("`{text}` lacks a closing bracket"), FORMS));
    };
    let range: AddrRange = address.parse().map_err(|invalid: Invalid| invalid.shifted(1))?;
    if range.family() == super::Family::V4 {
        let help = format!("write {address}{rest}");
        return Err(Invalid::whole(Mistake::Address, text, "brackets are for IPv6 only", help));
    }
    let address_part = AddressPattern::Range(range);
    if rest.is_empty() {
        return Ok(Endpoint { address: address_part, ports: None });
    }
    let Some(ports) = rest.strip_prefix(':') else {
        return Err(Invalid::whole(
            Mistake::Address,
            text,
            format!("`{rest}` does not belong behind an address"),
            FORMS,
        ));
    };
    let offset = text.len() - ports.len();
    let ports = ports.parse().map_err(|invalid: Invalid| invalid.shifted(offset))?;
    Ok(Endpoint { address: address_part, ports: Some(ports) })
}

/// Two or more colons and no bracket: an IPv6 address alone, or one whose brackets were forgotten.
fn unbracketed(text: &str) -> Result<Endpoint, Invalid> {
    let ambiguous = text
        .rsplit_once(':')
        .filter(|(address, ports)| address.parse::<AddrRange>().is_ok() && ports.parse::<PortSet>().is_ok());
    if let Some((address, ports)) = ambiguous {
        return Err(Invalid::whole(
            Mistake::Address,
            text,
            format!("`{text}` does not say where the IPv6 address ends"),
            format!("write [{address}]:{ports}, or [{text}] for the address alone"),
        ));
    }
    let alone: Result<AddrRange, Invalid> = text.parse();
    alone
        .map(|range| Endpoint { address: AddressPattern::Range(range), ports: None })
        .map_err(|invalid| Invalid { help: FORMS.to_string(), ..invalid })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(text: &str) -> String {
        let endpoint: Endpoint = text.parse().unwrap();
        let address = match endpoint.address {
            AddressPattern::Any => "*".to_string(),
            AddressPattern::Range(range) => range.to_string(),
            AddressPattern::Set(name) => format!("${name}"),
        };
        format!("{address} {}", endpoint.ports.map_or("-".to_string(), |ports| ports.to_string()))
    }

    #[test]
    fn every_form() {
        assert_eq!(show("203.0.113.5:80"), "203.0.113.5 80");
        assert_eq!(show("203.0.113.0/24:80,443,8000-8100"), "203.0.113.0/24 80,443,8000-8100");
        assert_eq!(show("[2001:db8::5]:53"), "2001:db8::5 53");
        assert_eq!(show("[2001:db8::/64]:53"), "2001:db8::/64 53");
        assert_eq!(show("*:22"), "* 22");
        assert_eq!(show("$web:22"), "$web 22");
        assert_eq!(show("203.0.113.5"), "203.0.113.5 -");
        assert_eq!(show("[2001:db8::5]"), "2001:db8::5 -");
        assert_eq!(show("fe80::1"), "fe80::1 -");
    }

    #[test]
    fn mistakes_say_what_to_write() {
        let help = |text: &str| text.parse::<Endpoint>().unwrap_err().help;
        assert_eq!(help("80"), "write `*:80` for every address, or ADDR:80");
        assert_eq!(help(":80"), "write `*:80` for every address");
        assert_eq!(help("2001:db8::5:443"), "write [2001:db8::5]:443, or [2001:db8::5:443] for the address alone");
        assert_eq!(help("[203.0.113.5]:80"), "write 203.0.113.5:80");
        assert_eq!(
            help("203.0.113.5/24:80"),
            "write 203.0.113.0/24 for the network, or 203.0.113.5 for the one address"
        );
        let port = "[2001:db8::5]:0".parse::<Endpoint>().unwrap_err();
        assert_eq!((port.mistake, port.range), (Mistake::PortZero, 14..15));
        for text in
            ["", "*", "[", "[]", "[::1", "[::1]x", "host:80", "1.2.3:80", "$:80", "1.2.3.4:", "[::ffff:1.2.3.4]:80"]
        {
            let parsed = text.parse::<Endpoint>();
            assert!(parsed.is_err() || text == "*", "{text}");
        }
    }
}
