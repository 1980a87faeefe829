//! What a mistyped word was meant to be.

/// Longest word that is looked at, in bytes: the distance takes time that grows with it, and no candidate is near a longer one.
const LONGEST: usize = 64;

/// The nearest of `candidates` to a mistyped `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_ascii_lowercase();
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_ascii_lowercase()), candidate))
        .filter(|&(distance, candidate)| distance <= candidate.len().max(word.len()) / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn near_is_a_slip_and_not_another_word() {
        assert_eq!(nearest("tpc", ["tcp", "udp"]), Some("tcp"));
        assert_eq!(nearest("FWC310", ["FWC301", "FWC501"]), Some("FWC301"));
        assert_eq!(nearest("statless", ["listen", "stateless"]), Some("stateless"));
        assert_eq!(nearest("c", ["a"]), None);
        assert_eq!(nearest("x", []), None);
    }
}
