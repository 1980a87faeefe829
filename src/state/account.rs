//! The account: what was applied last, what stood there before, what is pending, what is confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::clock::{KernelLife, ProcessId, since_boot};
use super::remembered::Remembered;
use crate::kernel::sizing::Former;

/// The version of the state directory that this fwc writes.
pub const VERSION: u32 = 1;

/// The one file that says what all others mean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// `fwc-state`.
    pub format: String,
    /// [`VERSION`].
    pub version: u32,
    /// Which ruleset it speaks of.
    pub kernel: KernelLife,
    /// The number of the last apply, also of one that came to nothing. It names files.
    pub number: u64,
    /// How far the last change got.
    pub stage: Stage,
    /// What is loaded, as far as fwc loaded it.
    pub applied: Option<Applied>,
    /// What stood there before, if it can be undone.
    pub previous: Option<Previous>,
    /// The apply that is rolled back unless somebody confirms it.
    pub pending: Option<Pending>,
    /// What a boot loads.
    pub confirmed: Option<Confirmed>,
    /// The loaded table, if it was read back and nothing is known to have changed since. See [`super::remembered`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remembered: Option<Remembered>,
    /// While loading: the account as it was, should the load not happen.
    pub before: Option<Box<Account>>,
}

/// How far a change got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The kernel may or may not have taken it.
    Loading,
    /// Done.
    Settled,
    /// The former table may or may not be back.
    RollingBack,
}

/// A spec that was loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// The number of the apply.
    pub number: u64,
    /// The path as it was given.
    pub spec: String,
    /// SHA-256 of its texts.
    pub spec_sha256: String,
    /// The identity of the table, which the table's signature carries too.
    pub identity: String,
    /// When, in seconds since 1970.
    pub at: u64,
}

/// What stood there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// The table.
    pub table: FormerTable,
    /// The sizing of the conntrack table.
    pub sizing: Sizing,
    /// What had been applied.
    pub applied: Option<Applied>,
    /// What had been confirmed.
    pub confirmed: Option<Confirmed>,
}

/// The former table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FormerTable {
    /// There was none.
    Nothing,
    /// The file with the messages that make it again, and what it then is.
    Table {
        /// The file.
        file: String,
        /// The table's identity.
        identity: String,
        /// [`checksum`] of the file.
        checksum: String,
    },
    /// It could not be kept, and why.
    Lost(String),
}

/// Former values of kernel settings by the absolute path of their file, to be written back by a rollback in the order of the paths.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizing(pub BTreeMap<String, String>);

impl Sizing {
    /// As the kernel had it.
    #[must_use]
    pub fn of(former: &Former) -> Self {
        Sizing(former.iter().map(|(path, text)| (path.display().to_string(), text.clone())).collect())
    }
}

/// An apply that waits to be confirmed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// How long it was given, in seconds.
    pub within: u32,
    /// When it is over, in milliseconds since boot.
    pub deadline: u64,
    /// The same in seconds since 1970, for people.
    pub until: u64,
    /// The process that applied.
    pub by: ProcessId,
}

impl Pending {
    /// What is left of its time.
    #[must_use]
    pub fn left(&self) -> Duration {
        Duration::from_millis(self.deadline).saturating_sub(since_boot())
    }

    /// Whether its time is over.
    #[must_use]
    pub fn is_overdue(&self) -> bool {
        self.left().is_zero()
    }
}

/// A spec that somebody confirmed, or that was applied without asking for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// SHA-256 of its texts.
    pub spec_sha256: String,
    /// The file with its texts.
    pub file: String,
}

impl Account {
    /// Of a host where nothing was ever applied.
    #[must_use]
    pub fn new() -> Self {
        Account {
            format: "fwc-state".to_string(),
            version: VERSION,
            kernel: KernelLife::here(),
            number: 0,
            stage: Stage::Settled,
            applied: None,
            previous: None,
            pending: None,
            confirmed: None,
            remembered: None,
            before: None,
        }
    }

    /// The files that it speaks of.
    #[must_use]
    pub fn files(&self) -> BTreeSet<String> {
        let mut files = BTreeSet::new();
        let previous = self.previous.as_ref();
        if let Some(FormerTable::Table { file, .. }) = previous.map(|previous| &previous.table) {
            files.insert(file.clone());
        }
        let confirmed = previous.and_then(|previous| previous.confirmed.as_ref());
        files.extend(self.confirmed.iter().chain(confirmed).map(|confirmed| confirmed.file.clone()));
        // The texts of an apply that may yet be confirmed.
        files.extend(self.applied.iter().map(|applied| texts_file(applied.number)));
        files.extend(self.remembered.iter().map(|remembered| remembered.file.clone()));
        files.extend(self.before.iter().flat_map(|before| before.files()));
        files
    }

    /// The loaded spec becomes the confirmed one.
    pub fn confirm(&mut self) {
        self.pending = None;
        self.confirmed = self
            .applied
            .as_ref()
            .map(|applied| Confirmed { spec_sha256: applied.spec_sha256.clone(), file: texts_file(applied.number) });
    }

    /// The last apply is undone.
    pub fn undone(&mut self) {
        self.stage = Stage::Settled;
        self.pending = None;
        self.remembered = None;
        self.before = None;
        if let Some(previous) = self.previous.take() {
            self.applied = previous.applied;
            self.confirmed = previous.confirmed;
        }
    }
}

impl Default for Account {
    fn default() -> Self {
        Self::new()
    }
}

/// XXH3 of a file's bytes, in hex: it tells damage, not forgery. Who may write here may write everything here.
#[must_use]
pub fn checksum(bytes: &[u8]) -> String {
    format!("{:032x}", xxh3_128(bytes))
}

/// The file with the texts of an apply.
#[must_use]
pub fn texts_file(number: u64) -> String {
    format!("spec-{number}.json")
}

/// The file with the table from before an apply.
#[must_use]
pub fn previous_file(number: u64) -> String {
    format!("previous-{number}")
}

/// The file with the table that an apply loaded.
#[must_use]
pub fn loaded_file(number: u64) -> String {
    format!("loaded-{number}")
}
