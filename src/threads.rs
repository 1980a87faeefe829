//! Work beside other work. Where there may be no more threads, as under a limit on processes, all is done one after the other.

use std::panic::resume_unwind;
use std::thread::{self, Builder, ScopedJoinHandle};

/// Does both, the one in a thread of its own.
pub fn both<A: Send, B>(aside: impl Fn() -> A + Sync, here: impl FnOnce() -> B) -> (A, B) {
    thread::scope(|scope| {
        let started = Builder::new().spawn_scoped(scope, &aside);
        let here = here();
        (started.map_or_else(|_| aside(), joined), here)
    })
}

/// Does the same with each, all but the first in threads of their own.
pub fn each<T: Copy + Send, R: Send>(items: &[T], work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let Some((&first, others)) = items.split_first() else { return Vec::new() };
    let work = &work;
    thread::scope(|scope| {
        let start = |&item: &T| (item, Builder::new().spawn_scoped(scope, move || work(item)));
        let started: Vec<_> = others.iter().map(start).collect();
        let mut done = vec![work(first)];
        done.extend(started.into_iter().map(|(item, started)| started.map_or_else(|_| work(item), joined)));
        done
    })
}

/// The same with each where that is worth threads, one after the other where it is not.
pub fn each_if<T: Copy + Send, R: Send>(is_worth_it: bool, items: &[T], work: impl Fn(T) -> R + Sync) -> Vec<R> {
    if is_worth_it { each(items, work) } else { items.iter().copied().map(work).collect() }
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
