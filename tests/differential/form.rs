//! How a spec's rules come into the kernel.

use fwc::backend::iptables::artifacts;
use fwc::backend::{Header, nft};
use fwc::kernel::socket::Socket;
use fwc::kernel::transaction::Transaction;
use fwc::ruleset::Ruleset;

use crate::support::cli::iptables_load;
use crate::support::{Namespace, Variant, write_files};

const HEADER: Header = Header { version: "0.0.0", spec_hash: "0" };

/// The forms that fwc gives rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Netlink,
    IptablesNft,
    IptablesLegacy,
}

impl Form {
    pub const ALL: [Form; 3] = [Form::Netlink, Form::IptablesNft, Form::IptablesLegacy];

    /// Loads the rules into a namespace.
    #[track_caller]
    pub fn load(self, namespace: &Namespace, ruleset: &Ruleset) {
        let variant = match self {
            Form::IptablesNft => Variant::Nft,
            Form::IptablesLegacy => Variant::Legacy,
            Form::Netlink => {
                let messages = nft::netlink::messages(&nft::Program::of(ruleset, &HEADER));
                return namespace.enter(|| {
                    let mut socket = Socket::open().unwrap_or_else(|error| panic!("{error}"));
                    Transaction::new(&messages).commit(&mut socket).unwrap_or_else(|error| panic!("{error}"));
                });
            }
        };
        let folder = tempfile::tempdir().unwrap();
        write_files(folder.path(), &artifacts(ruleset, &HEADER));
        iptables_load(namespace, folder.path(), variant);
    }
}
