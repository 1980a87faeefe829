//! The elements of a set, in no order.

use super::Digest;

/// Digests of elements.
#[derive(Debug, Clone, Default)]
pub struct Members {
    digests: Vec<Digest>,
    /// Their sum, which is the same in every order: a million digests need not be sorted to be compared.
    sum: u128,
}

impl Members {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// Whether the two are the same elements.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (self.len(), self.sum) == (other.len(), other.sum)
    }

    /// All of them, in the order of the digests.
    #[must_use]
    pub fn sorted(&self) -> Vec<Digest> {
        let mut digests = self.digests.clone();
        digests.sort_unstable();
        digests
    }

    /// One digest of all.
    pub(super) fn digest(&self) -> Digest {
        Digest(self.sum)
    }

    pub(super) fn push(&mut self, digest: Digest) {
        self.digests.push(digest);
        self.sum = self.sum.wrapping_add(digest.0);
    }
}
