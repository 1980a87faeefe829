//! FWC401: an apply that would lock somebody out.

use crate::diagnostic::{Diagnostic, Finding, Severity};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC401",
    severity: Severity::Error,
    title: "this would lock you out",
    explanation: "\
Input is dropped unless an entry accepts it. Before it loads anything, `fwc apply` looks at

- the session that it runs in: SSH_CONNECTION, also behind sudo, and any connection that came in and is held by an ancestor of fwc;
- every other ssh session that is established on this host;
- the ports on which sshd listens.

If the spec does not accept both directions of a session, or has no entry for such a port, the apply is refused. Chains of other tables
are looked at, too: see FWC402.

Add the entry that the message names:

```yaml
services:
  ssh: {listen: \"*:22\"}
```

Where another way in exists (a console, another port), `fwc apply --force FWC401` loads in spite of it.
",
};

/// The session that fwc runs in, from client to server, would end. `decided` says which rule drops it.
pub fn session(ssh: bool, (client, server): (&str, &str), port: u16, decided: &str, place: Place) -> Diagnostic {
    let what = if ssh { "ssh session" } else { "connection" };
    Diagnostic::new(
        &FINDING,
        format!("this would cut off the {what} from {client} to {server} that you are in: {decided}"),
        entry(if ssh { "ssh" } else { "way-in" }, port),
    )
    .at(place, format!("nothing accepts tcp from {client} to port {port}: an entry is missing beside this one"))
}

/// ssh sessions of others at a port would end. `clients` are their other ends.
pub fn others(clients: &[String], port: u16, decided: &str, blocked: bool, place: Place) -> Diagnostic {
    const SHOWN: usize = 4;
    let mut list: Vec<&str> = clients.iter().take(SHOWN).map(String::as_str).collect();
    let more = format!("{} more", clients.len().saturating_sub(SHOWN));
    if clients.len() > SHOWN {
        list.push(&more);
    }
    let what = match clients.len() {
        1 => format!("an ssh session at port {port}, from {}", list.join(", ")),
        count => format!("{count} ssh sessions at port {port}, from {}", list.join(", ")),
    };
    let message = format!("this would cut off {what}: {decided}");
    if blocked {
        let help = "take the address out of `block`, or apply with `--force FWC401`";
        return Diagnostic::new(&FINDING, message, help).at(place, "entries do not count for what is in `block`");
    }
    Diagnostic::new(&FINDING, message, entry("ssh", port))
        .at(place, format!("nothing accepts it at tcp port {port}: an entry is missing beside this one"))
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
    Diagnostic::new(
        &FINDING,
        format!("{process} listens on {address}, and no service has that port"),
        entry("ssh", port),
    )
    .at(place, format!("an entry for tcp port {port} is missing beside this one"))
}

fn entry(name: &str, port: u16) -> String {
    format!(
        "add `{name}: {{listen: \"*:{port}\"}}` to `services` (with `from` if not everybody may), or apply with `--force FWC401`"
    )
}
