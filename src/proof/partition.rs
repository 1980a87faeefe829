//! The values of a field, divided into classes that no rule tells apart.
//!
//! Rules compare addresses and ports with ranges. Between two neighbouring ends of ranges all values are alike, so a class number takes the
//! place of the value: fewer bits, and still every packet.

/// The classes of a field: class `n` starts at `starts[n]` and ends before the next.
#[derive(Debug, Clone)]
pub struct Partition {
    // INVARIANT: sorted, without duplicates, the first is 0.
    starts: Vec<u128>,
    /// The largest value of the field.
    max: u128,
}

impl Partition {
    /// From the ranges that rules ask for, and the field's largest value.
    #[must_use]
    pub fn of(ranges: &[(u128, u128)], max: u128) -> Self {
        let behind = |last: u128| last.checked_add(1).filter(|&start| start <= max);
        let mut starts: Vec<u128> =
            ranges.iter().flat_map(|&(first, last)| [Some(first), behind(last)]).flatten().chain([0]).collect();
        starts.sort_unstable();
        starts.dedup();
        Partition { starts, max }
    }

    /// How many classes there are: at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Bits that a class number takes.
    #[must_use]
    pub fn bits(&self) -> u32 {
        usize::BITS - (self.len() - 1).leading_zeros()
    }

    /// The class of a value.
    #[must_use]
    pub fn class(&self, value: u128) -> usize {
        self.starts.partition_point(|&start| start <= value).saturating_sub(1)
    }

    /// The classes of a range. Its ends are among those that the partition was made of.
    #[must_use]
    pub fn classes(&self, (first, last): (u128, u128)) -> (usize, usize) {
        (self.class(first), self.class(last))
    }

    /// First and last value of a class. A number behind the last class stands for the last class.
    #[must_use]
    pub fn values(&self, class: usize) -> (u128, u128) {
        let class = class.min(self.len() - 1);
        let first = self.starts.get(class).copied().unwrap_or(0);
        let last = self.starts.get(class + 1).map_or(self.max, |next| next - 1);
        (first, last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_end_where_ranges_end() {
        let partition = Partition::of(&[(80, 80), (443, 443), (8000, 8999), (65535, 65535)], 65535);
        let values: Vec<_> = (0..partition.len()).map(|class| partition.values(class)).collect();
        let expected =
            [(0, 79), (80, 80), (81, 442), (443, 443), (444, 7999), (8000, 8999), (9000, 65534), (65535, 65535)];
        assert_eq!(values, expected);
        assert_eq!(partition.bits(), 3);
        assert_eq!(partition.classes((8000, 8999)), (5, 5));
        assert_eq!(partition.class(81), 2);
        assert_eq!(partition.values(99), (65535, 65535));
        assert_eq!((Partition::of(&[], 9).len(), Partition::of(&[], 9).bits()), (1, 0));
    }
}
