//! What a line does.

use std::net::IpAddr;

use crate::dump::{Effect, Translation, TranslationKind, Varies, Verdict};
use crate::net::Family;

/// Targets that change neither the packet's way nor what later rules see.
const HARMLESS: [&str; 14] = [
    "LOG", "NFLOG", "ULOG", "TCPMSS", "DSCP", "TOS", "ECN", "CLASSIFY", "CHECKSUM", "TRACE", "AUDIT", "LED", "RATEEST",
    "SECMARK",
];

/// Reads a target and its options.
pub(super) fn read(name: &str, options: &[&str], family: Family) -> (Vec<Effect>, Verdict) {
    let words = || std::iter::once(name).chain(options.iter().copied()).collect::<Vec<_>>().join(" ");
    let only = |verdict| (Vec::new(), verdict);
    match name {
        "ACCEPT" => only(Verdict::Accept),
        "DROP" => only(Verdict::Drop),
        "REJECT" => only(Verdict::Reject),
        "RETURN" => only(Verdict::Return),
        "NOTRACK" => (vec![Effect::Notrack], Verdict::Continue),
        // Whatever else it says has no effect then.
        "CT" if options.contains(&"--notrack") => (vec![Effect::Notrack], Verdict::Continue),
        "MARK" | "CONNMARK" | "CONNSECMARK" => (vec![Effect::Mark(words())], Verdict::Continue),
        "CT" | "SET" | "HMARK" | "TEE" => (vec![Effect::Other(words())], Verdict::Continue),
        "MASQUERADE" => only(translate(TranslationKind::Masquerade, value(options, &["--to-ports"]), family)),
        "SNAT" => only(translate(TranslationKind::Snat, value(options, &["--to-source"]), family)),
        "DNAT" => only(translate(TranslationKind::Dnat, value(options, &["--to-destination"]), family)),
        "REDIRECT" => only(translate(TranslationKind::Redirect, value(options, &["--to-ports", "--to-port"]), family)),
        "NETMAP" => only(open(TranslationKind::Netmap)),
        // A packet with nothing left to live is not routed any more.
        "TTL" | "HL" if !lives_on(options) => (vec![Effect::Other(words())], Verdict::Continue),
        "TTL" | "HL" => (vec![Effect::Harmless(words())], Verdict::Continue),
        harmless if HARMLESS.contains(&harmless) => (vec![Effect::Harmless(words())], Verdict::Continue),
        _ => only(Verdict::Unknown(words())),
    }
}

/// Whether a packet has more than a hop left whatever it had before.
fn lives_on(options: &[&str]) -> bool {
    match options {
        ["--ttl-set" | "--hl-set", hops] => hops.parse::<u8>().is_ok_and(|hops| hops > 1),
        ["--ttl-inc" | "--hl-inc", _] => true,
        _ => false,
    }
}

fn value<'a>(options: &[&'a str], names: &[&str]) -> Option<&'a str> {
    options.windows(2).find_map(|pair| match pair {
        [option, value] if names.contains(option) => Some(*value),
        _ => None,
    })
}

/// A translation of which only the kind is known.
fn open(kind: TranslationKind) -> Verdict {
    Verdict::Translate(Translation { kind, address: None, ports: None, varies: Varies::ALL })
}

/// `ADDR`, `ADDR-ADDR`, `ADDR:PORT-PORT`, `[ADDR]:PORT`, `:PORT`; of MASQUERADE and REDIRECT only `PORT-PORT`.
fn translate(kind: TranslationKind, value: Option<&str>, family: Family) -> Verdict {
    let varies = Varies::default();
    let Some(value) = value else {
        return Verdict::Translate(Translation { kind, address: None, ports: None, varies });
    };
    let ports_only = matches!(kind, TranslationKind::Masquerade | TranslationKind::Redirect);
    let (addresses, ports) = match (ports_only, family) {
        (true, _) => ("", value),
        (false, Family::V4) => value.split_once(':').unwrap_or((value, "")),
        (false, Family::V6) => match value.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((address, port)) => (address, port.trim_start_matches(':')),
            None => (value, ""),
        },
    };
    let address = range::<IpAddr>(addresses);
    let ports = range::<u16>(ports);
    match (address, ports) {
        (Ok(address), Ok(ports)) => Verdict::Translate(Translation { kind, address, ports, varies }),
        _ => open(kind),
    }
}

/// `A` or `A-B`; nothing is nothing.
fn range<T: std::str::FromStr + Copy>(text: &str) -> Result<Option<(T, T)>, ()> {
    if text.is_empty() {
        return Ok(None);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Ok(Some((first.parse().map_err(|_| ())?, last.parse().map_err(|_| ())?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effects(name: &str, options: &[&str]) -> Vec<Effect> {
        read(name, options, Family::V4).0
    }

    #[test]
    fn notrack_is_notrack_whatever_stands_beside_it() {
        assert_eq!(effects("CT", &["--notrack"]), [Effect::Notrack]);
        assert_eq!(effects("CT", &["--notrack", "--zone", "5"]), [Effect::Notrack]);
        assert!(matches!(effects("CT", &["--zone", "5"])[..], [Effect::Other(_)]));
    }

    #[test]
    fn a_packet_that_may_die_of_it_is_not_harmless() {
        assert!(matches!(effects("TTL", &["--ttl-set", "64"])[..], [Effect::Harmless(_)]));
        assert!(matches!(effects("TTL", &["--ttl-set", "1"])[..], [Effect::Other(_)]));
        assert!(matches!(effects("HL", &["--hl-dec", "1"])[..], [Effect::Other(_)]));
    }
}
