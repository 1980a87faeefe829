//! Sets of integers as sorted, disjoint, inclusive ranges: the one form in which fwc keeps addresses and ports.

use std::fmt::Debug;

/// An unsigned integer that a [`RangeSet`] can hold.
pub trait Scalar: Copy + Ord + Debug {
    /// The smallest value.
    const MIN: Self;
    /// The largest value.
    const MAX: Self;
    /// The next value, or none at the end.
    fn next(self) -> Option<Self>;
    /// The previous value, or none at the start.
    fn previous(self) -> Option<Self>;
}

macro_rules! scalar {
    ($($int:ty),*) => {$(
        impl Scalar for $int {
            const MIN: Self = <$int>::MIN;
            const MAX: Self = <$int>::MAX;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
        }
    )*};
}

scalar!(u8, u16, u32, u128);

/// Sorted, disjoint, inclusive ranges; touching ranges are merged, so equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeSet<T> {
    // INVARIANT: sorted; each start <= its end; each start > the former end + 1.
    ranges: Vec<(T, T)>,
}

impl<T> Default for RangeSet<T> {
    fn default() -> Self {
        RangeSet { ranges: Vec::new() }
    }
}

impl<T: Scalar> RangeSet<T> {
    /// Every value.
    #[must_use]
    pub fn all() -> Self {
        RangeSet { ranges: vec![(T::MIN, T::MAX)] }
    }

    /// One range, both ends included. Ends in the wrong order are put right.
    #[must_use]
    pub fn range(start: T, end: T) -> Self {
        RangeSet { ranges: vec![(start.min(end), start.max(end))] }
    }

    /// One value.
    #[must_use]
    pub fn single(value: T) -> Self {
        Self::range(value, value)
    }

    /// Sorts and merges any ranges.
    pub fn from_ranges(ranges: impl IntoIterator<Item = (T, T)>) -> Self {
        let mut all: Vec<(T, T)> = ranges.into_iter().collect();
        all.sort_unstable();
        let mut merged: Vec<(T, T)> = Vec::with_capacity(all.len());
        for (start, end) in all {
            match merged.last_mut() {
                Some(last) if last.1.next().is_none_or(|next| start <= next) => last.1 = last.1.max(end),
                _ => merged.push((start, end)),
            }
        }
        RangeSet { ranges: merged }
    }

    /// The ranges, sorted, inclusive.
    #[must_use]
    pub fn ranges(&self) -> &[(T, T)] {
        &self.ranges
    }

    /// Nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Every value in it.
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.ranges.as_slice() == [(T::MIN, T::MAX)]
    }

    /// The value, if there is exactly one.
    #[must_use]
    pub fn as_single(&self) -> Option<T> {
        match self.ranges.as_slice() {
            [(start, end)] if start == end => Some(*start),
            _ => None,
        }
    }

    /// Whether a value is in it.
    #[must_use]
    pub fn contains(&self, value: T) -> bool {
        cover(&self.ranges, (value, value))
    }

    /// Whether all from `start` to `end` is in it, both included.
    #[must_use]
    pub fn covers(&self, start: T, end: T) -> bool {
        cover(&self.ranges, (start, end))
    }

    /// The first range that the two sets share, if any.
    #[must_use]
    pub fn common(&self, other: &Self) -> Option<(T, T)> {
        common(&self.ranges, &other.ranges)
    }

    /// Whether the two sets share a value.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        self.common(other).is_some()
    }

    /// What is in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut mine, mut theirs) = (self.ranges.iter().peekable(), other.ranges.iter().peekable());
        let mut both = Vec::new();
        while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
            let (start, end) = (a.0.max(b.0), a.1.min(b.1));
            if start <= end {
                both.push((start, end));
            }
            if a.1 < b.1 {
                mine.next();
            } else {
                theirs.next();
            }
        }
        RangeSet { ranges: both }
    }

    /// What is not in it.
    #[must_use]
    pub fn complement(&self) -> Self {
        let mut ranges = Vec::with_capacity(self.ranges.len() + 1);
        let mut free = Some(T::MIN);
        for (start, end) in &self.ranges {
            if let (Some(from), Some(to)) = (free, start.previous())
                && from <= to
            {
                ranges.push((from, to));
            }
            free = end.next();
        }
        ranges.extend(free.map(|from| (from, T::MAX)));
        RangeSet { ranges }
    }

    /// What is in either.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }
}

/// Whether all of a range is in sorted, disjoint ranges. Touching ones are merged, so one of them has to do.
pub(super) fn cover<T: Scalar>(ranges: &[(T, T)], (start, end): (T, T)) -> bool {
    let after = ranges.partition_point(|range| range.0 <= start);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|range| end <= range.1)
}

/// The first range that two lists of sorted, disjoint ranges share.
pub(super) fn common<T: Scalar>(one: &[(T, T)], other: &[(T, T)]) -> Option<(T, T)> {
    let (mut mine, mut theirs) = (one.iter().peekable(), other.iter().peekable());
    while let (Some(a), Some(b)) = (mine.peek(), theirs.peek()) {
        let (start, end) = (a.0.max(b.0), a.1.min(b.1));
        if start <= end {
            return Some((start, end));
        }
        if a.1 < b.1 {
            mine.next();
        } else {
            theirs.next();
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn members(set: &RangeSet<u8>) -> Vec<u8> {
        (0..=u8::MAX).filter(|&value| set.contains(value)).collect()
    }

    proptest! {
        #[test]
        fn means_the_union_of_its_ranges(pairs in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..8)) {
            let ranges: Vec<(u8, u8)> = pairs.iter().map(|&(a, b)| (a.min(b), a.max(b))).collect();
            let set = RangeSet::from_ranges(ranges.clone());
            let expected: Vec<u8> =
                (0..=u8::MAX).filter(|v| ranges.iter().any(|r| r.0 <= *v && *v <= r.1)).collect();
            prop_assert_eq!(members(&set), expected);
            for pair in set.ranges().windows(2) {
                prop_assert!(u16::from(pair[0].1) + 1 < u16::from(pair[1].0));
            }
        }

        #[test]
        fn overlap_means_a_common_member(a in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..5),
                                         b in proptest::collection::vec((any::<u8>(), any::<u8>()), 0..5)) {
            let build = |p: &[(u8, u8)]| RangeSet::from_ranges(p.iter().map(|&(x, y)| (x.min(y), x.max(y))));
            let (a, b) = (build(&a), build(&b));
            let common: Vec<u8> = members(&a).into_iter().filter(|v| b.contains(*v)).collect();
            prop_assert_eq!(a.overlaps(&b), !common.is_empty());
            prop_assert_eq!(RangeSet::from_ranges(a.intersection(&b).ranges().to_vec()), a.intersection(&b));
            prop_assert_eq!(members(&a.intersection(&b)), common);
            let outside: Vec<u8> = (0..=u8::MAX).filter(|v| !a.contains(*v)).collect();
            prop_assert_eq!(members(&a.complement()), outside);
        }
    }

    #[test]
    fn one_range_covers_or_none() {
        let set = RangeSet::<u8>::from_ranges([(10, 20), (21, 30), (40, 50)]);
        for (start, end, covered) in [(10, 30, true), (15, 22, true), (9, 12, false), (25, 31, false), (30, 40, false)]
        {
            assert_eq!(set.covers(start, end), covered, "{start}-{end}");
        }
    }

    #[test]
    fn touching_ranges_merge_up_to_the_last_value() {
        let set = RangeSet::<u8>::from_ranges([(254, 255), (0, 9), (10, 20), (255, 255)]);
        assert_eq!(set.ranges(), [(0, 20), (254, 255)]);
    }
}
