//! Chains that lead back to themselves.

use super::{Dump, Unread, Verdict};

impl Dump {
    /// The kernel takes no chain that leads back to itself. The jump that closes a circle is taken out and told.
    pub(super) fn break_cycles(&mut self) {
        let count = self.chains.len();
        // 0: not seen, 1: on the way, 2: done.
        let mut seen = vec![0u8; count];
        for start in 0..count {
            let mut stack = vec![(start, 0usize)];
            while let Some((chain, at)) = stack.pop() {
                if at == 0 && seen.get(chain) != Some(&0) {
                    continue;
                }
                mark(&mut seen, chain, 1);
                let Some((rule, next)) = self.next_jump(chain, at) else {
                    mark(&mut seen, chain, 2);
                    continue;
                };
                stack.push((chain, rule + 1));
                match seen.get(next) {
                    Some(1) => self.take_out(chain, rule),
                    Some(0) => stack.push((next, 0)),
                    _ => {}
                }
            }
        }
    }

    fn next_jump(&self, chain: usize, from: usize) -> Option<(usize, usize)> {
        let rules = self.chains.get(chain)?.rules.iter().enumerate().skip(from);
        rules.into_iter().find_map(|(at, rule)| match rule.verdict {
            Verdict::Jump(to) | Verdict::Goto(to) => Some((at, to.0)),
            _ => None,
        })
    }

    fn take_out(&mut self, chain: usize, rule: usize) {
        let Some(rule) = self.chains.get_mut(chain).and_then(|chain| chain.rules.get_mut(rule)) else { return };
        rule.verdict = Verdict::Unknown("jump that leads back to its own chain".to_string());
        let place = rule.place;
        let why = "this jump leads back to its own chain, which the kernel refuses".to_string();
        self.unread.push(Unread { place, why });
    }
}

fn mark(seen: &mut [u8], chain: usize, value: u8) {
    if let Some(slot) = seen.get_mut(chain) {
        *slot = value;
    }
}
