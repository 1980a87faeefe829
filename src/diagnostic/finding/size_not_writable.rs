//! FWC430 (warning): a part of `conntrack` that cannot be set from here.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC430",
    severity: Severity::Warning,
    title: "part of the conntrack table's size cannot be set from here",
    explanation: "\
Timeouts belong to a network namespace: `fwc apply` sets them in each. `max` and `buckets` are one figure for the whole machine, and the kernel lets
only its first network namespace write them. With `--netns`, and in a container, they are left as they are, and so is everything where /proc/sys is
mounted read-only. The rules are loaded all the same.

Set them on the machine itself:

```console
$ sysctl -w net.netfilter.nf_conntrack_max=855360
$ echo 855360 > /sys/module/nf_conntrack/parameters/hashsize
```

`fwc compile --target sysctl`, `--target modprobe` and `--target modules-load` write the files that do so at boot. `max` then holds for each namespace by
itself; the buckets are shared.
",
};

/// Machine-wide keys that another namespace cannot write. `keys` are those of the spec, `commands` set them on the machine.
pub fn machine_wide(keys: &str, now: &str, commands: &str, places: &[Place]) -> Diagnostic {
    let found = Diagnostic::new(
        &FINDING,
        format!(
            "{keys} cannot be set from this network namespace: timeouts belong to the namespace, `max` and `buckets` to the whole machine, where \
             they stay at {now}"
        ),
        format!("set them in the machine's first network namespace: {commands}"),
    );
    places.iter().fold(found, |found, &place| found.at(place, "not set"))
}

/// Keys whose files cannot be written, because of `why`.
pub fn not_writable(keys: &str, why: &str, places: &[Place]) -> Diagnostic {
    let found = Diagnostic::new(
        &FINDING,
        format!("{keys} cannot be set here: {why}"),
        "run fwc as root; in a container, set them on the host, or mount /proc/sys so that it can be written",
    );
    places.iter().fold(found, |found, &place| found.at(place, "not set"))
}
