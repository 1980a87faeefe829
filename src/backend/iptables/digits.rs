//! Numbers in decimal digits.

/// A number in decimal digits.
pub(super) fn decimal(text: &mut Vec<u8>, number: u32) {
    text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Four numbers joined by dots.
pub(super) fn dotted(text: &mut Vec<u8>, octets: [u8; 4]) {
    for (place, octet) in octets.into_iter().enumerate() {
        if place > 0 {
            text.push(b'.');
        }
        decimal(text, octet.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_fmt_writes_them() {
        for number in (0..70_000).chain([999_999, 1_000_000, 1_001_010, 4_000_000_000, u32::MAX]) {
            let mut text = b"-".to_vec();
            decimal(&mut text, number);
            assert_eq!(text, format!("-{number}").into_bytes());
        }
    }

    #[test]
    fn addresses_are_written_as_fmt_writes_them() {
        for octet in 0..=u8::MAX {
            for octets in [[octet, 0, 10, 255], [1, octet, octet, 99], [255, 255, 255, octet]] {
                let mut text = b"-".to_vec();
                dotted(&mut text, octets);
                assert_eq!(text, format!("-{}", std::net::Ipv4Addr::from(octets)).into_bytes());
            }
        }
    }
}
