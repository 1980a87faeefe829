//! Numbers in decimal digits. Formatting by `fmt` takes several times as long.

/// The digits of a number below 1,000 and a dot, and nothing that counts behind them.
type Short = [u8; 4];

static SHORT: [Short; 1_000] = short();
/// The same with zeros before them, and without a dot.
static PADDED: [[u8; 3]; 1_000] = padded();

const fn padded() -> [[u8; 3]; 1_000] {
    let mut all = [[b'0'; 3]; 1_000];
    let mut number = 0;
    while number < 1_000 {
        all[number][0] += (number / 100) as u8;
        all[number][1] += (number / 10 % 10) as u8;
        all[number][2] += (number % 10) as u8;
        number += 1;
    }
    all
}

const fn short() -> [Short; 1_000] {
    let padded = padded();
    let mut all = [[b'.'; 4]; 1_000];
    let mut number = 0;
    while number < 1_000 {
        let zeros = 3 - length(number as u32);
        let mut at = zeros;
        while at < 3 {
            all[number][at - zeros] = padded[number][at];
            at += 1;
        }
        number += 1;
    }
    all
}

/// How many digits a number below 1,000 has.
const fn length(number: u32) -> usize {
    1 + (number > 9) as usize + (number > 99) as usize
}

/// A number in decimal digits.
pub(super) fn decimal(text: &mut Vec<u8>, number: u32) {
    if let Some(digits) = SHORT.get(number as usize) {
        // A copy of a fixed length takes no call, and what is too much goes again.
        let end = text.len() + length(number);
        text.extend_from_slice(digits);
        text.truncate(end);
        return;
    }
    decimal(text, number / 1_000);
    text.extend_from_slice(PADDED.get((number % 1_000) as usize).unwrap_or(&[0; 3]));
}

/// Four numbers joined by dots.
pub(super) fn dotted(text: &mut Vec<u8>, octets: [u8; 4]) {
    let (mut all, mut end) = ([0; 16], 0);
    for octet in octets {
        if let (Some(place), Some(digits)) = (all.get_mut(end..end + 4), SHORT.get(usize::from(octet))) {
            place.copy_from_slice(digits);
        }
        end += length(octet.into()) + 1;
    }
    let end = text.len() + end - 1;
    text.extend_from_slice(&all);
    text.truncate(end);
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
