//! FWC423 (warning): the hash table has too few buckets.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC423",
    severity: Severity::Warning,
    title: "the conntrack table has too few buckets",
    explanation: "\
The entries are kept in a hash table. Each is in two of its chains, one for each direction, and for every packet a chain is searched. With more than
eight entries in an average chain, every packet of every tracked connection pays; where a chain is very long, the kernel refuses new entries.

This comes from raising `nf_conntrack_max` alone. Set as many buckets as entries:

```yaml
conntrack: {max: 1048576, buckets: 1048576}
```

A bucket costs 8 bytes. The hash table is one for all network namespaces; `fwc doctor` counts the entries of one.
",
};

/// How long chains are on average.
pub fn report(average: f64, count: u64, buckets: u64, max: u64) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!(
            "{count} entries share {buckets} buckets: {average:.1} entries in an average chain, which every packet searches"
        ),
        format!("set as many buckets as entries: `conntrack: {{max: {max}, buckets: {max}}}`"),
    )
}
