//! FWC201: a `$set` that the spec does not define.

use crate::diagnostic::{Diagnostic, Finding, Severity, nearest};
use crate::source::Place;

/// The finding.
pub const FINDING: Finding = Finding {
    code: "FWC201",
    severity: Severity::Error,
    title: "unknown set",
    explanation: "\
`$name` stands for a set that is written under `sets`. Here no set has that name.

```yaml
sets:
  admins: [192.0.2.0/28]
services:
  ssh: {listen: \"*:22\", from: $admin}   # FWC201: did you mean `$admins`?
```

Write the name of a set that exists, or add the set. A spec with an unknown set is refused as a whole: a rule that is
left out in silence would be worse than no rule at all.
",
};

/// More sets than a person reads through in a help line.
const MOST_LISTED: usize = 20;

/// `$name` at `place` is unknown; `known` are the sets that exist.
pub fn report<'a>(name: &str, place: Place, known: impl IntoIterator<Item = &'a str>) -> Diagnostic {
    let known: Vec<&str> = known.into_iter().collect();
    let help = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean `${near}`?"),
        None if known.is_empty() => format!("add it: `sets: {{{name}: [192.0.2.0/24]}}`"),
        None if known.len() > MOST_LISTED => format!("add it under `sets`: `{name}: [192.0.2.0/24]`"),
        None => format!(
            "add it under `sets`, or use one of {}",
            known.iter().map(|k| format!("`${k}`")).collect::<Vec<_>>().join(", ")
        ),
    };
    Diagnostic::new(&FINDING, format!("there is no set `{name}`"), help).at(place, "not defined under `sets`")
}
