//! Questions that are not understood: each has a bit for its answer.

use super::Space;
use crate::proof::bdd::{Member, Result, Set};

impl Space {
    /// Packets for which a question that is not understood is answered with yes.
    pub fn opaque(&self, text: &str) -> Result<Set> {
        if let Some(known) = self.opaque.borrow().get(text) {
            return Ok(known.clone());
        }
        let made = self.engine.bit(self.engine.add(1)?, 0)?;
        self.opaque.borrow_mut().insert(text.to_string(), made.clone());
        Ok(made)
    }

    /// The same for one whose answer may be another each time it is asked.
    pub fn volatile(&self, text: &str) -> Result<Set> {
        let number = {
            let mut count = self.occurrences.borrow_mut();
            *count += 1;
            *count
        };
        self.opaque(&format!("{text} (asked {number})"))
    }

    /// Those that are in a set however the questions that are not understood are answered.
    pub fn surely(&self, set: &Set) -> Result<Set> {
        set.whatever(&self.engine.every(self.opaque.borrow().values())?)
    }

    /// The questions, not understood, that are answered with yes for a member.
    #[must_use]
    pub fn answered(&self, member: &Member) -> Vec<String> {
        let opaque = self.opaque.borrow();
        let yes = opaque.iter().filter(|(_, set)| set.has(member)).map(|(text, _)| text.clone());
        let mut all: Vec<String> = yes.collect();
        all.sort_unstable();
        all
    }
}
