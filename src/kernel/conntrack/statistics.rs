//! The counters of conntrack in /proc/net/stat/nf_conntrack.

use std::{fs, io};

/// Not /proc/net, which shows the namespace of the process's first thread.
const FILE: &str = "/proc/thread-self/net/stat/nf_conntrack";

/// What conntrack counted in this network namespace since it was made, summed over the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// Packets dropped because the table was full.
    pub drop: u64,
    /// Entries thrown out before their time to make room in a full table.
    pub early_drop: u64,
    /// Entries that could not be put in: mostly two packets of one flow at once.
    pub insert_failed: u64,
    /// Entries that could not be put in because their hash chain was too long (Linux 5.15 and newer).
    pub chain_too_long: u64,
    /// Packets that belong to no flow.
    pub invalid: u64,
}

/// Reads them.
///
/// # Errors
/// The file is not there (the module is not loaded) or must not be read.
pub fn statistics() -> io::Result<Statistics> {
    Ok(parse(&fs::read_to_string(FILE)?))
}

/// A line of names, then one of hexadecimal figures for each processor. Kernels have had different columns.
fn parse(text: &str) -> Statistics {
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let mut sums = Statistics::default();
    for line in lines {
        for (name, figure) in names.iter().zip(line.split_whitespace()) {
            let sum = match *name {
                "drop" => &mut sums.drop,
                "early_drop" => &mut sums.early_drop,
                "insert_failed" => &mut sums.insert_failed,
                "chainlength" => &mut sums.chain_too_long,
                "invalid" => &mut sums.invalid,
                _ => continue,
            };
            *sum = sum.saturating_add(u64::from_str_radix(figure, 16).unwrap_or(0));
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_by_the_names_of_their_columns() {
        let text = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop early_drop\n\
                    00000400  00000000 00000000 00000000 00000001 00000000 00000000 00000002 00000000 00000003 0000000a 00000010\n\
                    00000400  00000000 00000000 00000000 00000001 00000000 00000000 00000000 00000000 00000001 00000010 00000000\n";
        let expected = Statistics { drop: 26, early_drop: 16, insert_failed: 4, chain_too_long: 2, invalid: 2 };
        assert_eq!(parse(text), expected);
        let older = "entries  searched found new invalid\n00000001  00000002 00000003 00000004 00000005\n";
        assert_eq!(parse(older), Statistics { invalid: 5, ..Statistics::default() });
        assert_eq!(parse(""), Statistics::default());
    }
}
