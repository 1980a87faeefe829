//! FWC436: a spec that somebody else than root could change.

use crate::diagnostic::{Diagnostic, Finding, Severity};

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC436",
    severity: Severity::Error,
    title: "somebody else than root could change the spec",
    explanation: "\
Whoever can write a spec decides about the host's firewall. So when root applies one, the spec, its set files, and every directory and symbolic link on the way
to them must belong to root, and neither group nor others may write them. A directory with the sticky bit, such as /tmp, may be on the way if it is root's,
but not be the spec itself. sshd looks at its keys in the same way.

Put the spec where only root writes:

```console
$ install -D -o root -g root -m 644 web.yaml /etc/fwc/web.yaml
$ fwc apply /etc/fwc
```

Standard input is not looked at (`fwc apply - < web.yaml`), and neither is anything by `fwc check`, with `--sandbox`, or for another user than root.
`fwc apply --force FWC436` loads in spite of it.
",
};

/// What to do in any case. A directory in which somebody works must stay theirs.
const COPY: &str =
    "copy the spec to where only root writes (`install -D -m 644 SPEC /etc/fwc/SPEC`), or give it on standard input";

/// `path` belongs to the user with this id.
pub fn owner(path: &str, is_directory: bool, user: u32) -> Diagnostic {
    let help = if is_directory {
        COPY.to_string()
    } else {
        format!("`chown root:root {path}` if that user shall not decide about the firewall; or {COPY}")
    };
    Diagnostic::new(
        &FINDING,
        format!("{path} belongs to the user with id {user}, who could change what root loads"),
        help,
    )
}

/// Group or others may write `path`.
pub fn mode(path: &str, mode: u32) -> Diagnostic {
    let who = if mode & 0o002 != 0 { "everybody" } else { "its group" };
    Diagnostic::new(
        &FINDING,
        format!("{path} can be written by {who} (mode {mode:04o}), so others than root could change what root loads"),
        format!("`chmod go-w {path}`, or {COPY}"),
    )
}

/// `path` could not be looked at.
pub fn unseen(path: &str, why: &str) -> Diagnostic {
    Diagnostic::new(&FINDING, format!("whether others than root could change {path} cannot be told: {why}"), COPY)
}
