//! FWC401: an apply that would lock somebody out.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC401",
    severity: Severity::Error,
    title: "this would lock you out",
    explanation: "\
Input is dropped unless an entry accepts it. Before it loads anything, `fwc apply` looks at the ssh session that it runs in (SSH_CONNECTION, also
behind sudo) and at the ports on which sshd listens. If the spec does not accept the session, or has no entry for such a port, the apply is refused.

Add the entry that the message names:

```yaml
services:
  ssh: {listen: \"*:22\"}
```

Where another way in exists (a console, another port), `fwc apply --force FWC401` loads in spite of it.
",
};

/// The ssh session that fwc runs in would end. `decided` says which rule drops it.
pub fn session(client: &str, server: &str, port: u16, decided: &str, place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!("this would cut off the ssh session from {client} to {server} that you are in: {decided}"),
        entry(port),
    )
    .at(place, format!("nothing accepts tcp from {client} to port {port}: an entry is missing beside this one"))
}

/// The ssh session that fwc runs in would end, because the client's address is in `block`: no entry helps against that.
pub fn blocked(client: &str, server: &str, place: Place) -> Diagnostic {
    Diagnostic::new(
        &FINDING,
        format!(
            "this would cut off the ssh session from {client} to {server} that you are in: its source is in `block`"
        ),
        "take its address out of `block`, or apply with `--force FWC401`",
    )
    .at(place, "entries do not count for what is in `block`")
}

/// sshd listens on `port`, and no entry speaks of it.
pub fn listener(process: &str, address: &str, port: u16, place: Place) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("{process} listens on {address}, and no service has that port"), entry(port))
        .at(place, format!("an entry for tcp port {port} is missing beside this one"))
}

fn entry(port: u16) -> String {
    format!(
        "add `ssh: {{listen: \"*:{port}\"}}` to `services` (with `from` if not everybody may), or apply with `--force FWC401`"
    )
}
