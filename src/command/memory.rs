//! What a spec takes of the kernel's memory, for people and for programs.

use serde::Serialize;

use super::host::load;
use crate::backend::nft::{KernelMemory, Part, Program};
use crate::compile::Compiled;
use crate::kernel::host;

/// What is not worth a word: a megabyte of 1,000,000 bytes.
const WORTH_A_WORD: u64 = 1_000_000;

/// Entries that stand for all: so many that the sets of each family and protocol are large in the sample where they are large in the whole.
const SAMPLE: usize = 4_000;

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
        Estimate::new(KernelMemory::of(program))
    }

    /// The same without making the whole program, which would take as long as all else that a check does: a part of the entries stands for all.
    pub(super) fn of_sample(compiled: &Compiled) -> Self {
        let sample = compiled.sample(SAMPLE);
        let program = Program::of_policy(&sample, &load::header(compiled));
        let part = Part { entries: sample.entries.len(), of: compiled.policy.entries.len() };
        Estimate::new(KernelMemory::of_part(&program, part))
    }

    fn new(memory: KernelMemory) -> Self {
        let processors = host::processors();
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
