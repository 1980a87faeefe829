//! What is in a message: numbers, texts, user data.

/// A number in host order at an offset.
#[must_use]
pub fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

/// A number in host order at an offset.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A string attribute, which may end in NUL.
#[must_use]
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0).unwrap_or(value.len());
    String::from_utf8_lossy(value.get(..end).unwrap_or(value)).into_owned()
}

/// A number in network order of 1 to 8 bytes.
#[must_use]
pub fn number(value: &[u8]) -> Option<u64> {
    (1..=8).contains(&value.len()).then(|| value.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
}

/// A number in network order of up to 16 bytes.
#[must_use]
pub fn big_endian(value: &[u8]) -> Option<u128> {
    (value.len() <= 16).then(|| value.iter().fold(0, |sum, &byte| sum << 8 | u128::from(byte)))
}

/// The value of one attribute in user data, which is a list of type (1 byte), length (1 byte), value: the way in which
/// nft keeps comments.
#[must_use]
pub fn user_data(mut bytes: &[u8], kind: u8) -> Option<&[u8]> {
    while let [found, length, rest @ ..] = bytes {
        let value = rest.get(..usize::from(*length))?;
        if *found == kind {
            return Some(value);
        }
        bytes = rest.get(usize::from(*length)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_data_finds_its_type() {
        let data = [2, 1, 9, 0, 3, b'w', b'e', b'b'];
        assert_eq!(user_data(&data, 0), Some(&b"web"[..]));
        assert_eq!(user_data(&data, 1), None);
        assert_eq!(user_data(&data[..6], 0), None);
    }
}
