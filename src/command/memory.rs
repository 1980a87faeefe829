//! What a spec takes of the kernel's memory, for people and for programs.

use serde::Serialize;

use crate::backend::nft::{KernelMemory, Program};
use crate::kernel::host;

/// What is not worth a word: a megabyte of 1,000,000 bytes.
const WORTH_A_WORD: u64 = 1_000_000;

/// An estimate, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Estimate {
    /// On this machine.
    bytes: u64,
    /// What it takes on any machine.
    bytes_shared: u64,
    /// What comes on top for each processor.
    bytes_per_processor: u64,
    /// How many processors this machine's kernel may have.
    processors: u64,
}

impl Estimate {
    pub(super) fn of(program: &Program) -> Self {
        let (memory, processors) = (KernelMemory::of(program), host::processors());
        Estimate {
            bytes: memory.bytes(processors),
            bytes_shared: memory.shared,
            bytes_per_processor: memory.per_processor,
            processors,
        }
    }

    /// In words, where it is large enough to matter.
    pub(super) fn words(&self) -> Option<String> {
        let tenths = self.bytes.div_ceil(WORTH_A_WORD / 10);
        (self.bytes >= WORTH_A_WORD).then(|| format!("about {}.{} MB of kernel memory", tenths / 10, tenths % 10))
    }
}
