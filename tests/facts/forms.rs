//! The forms in which a spec reaches the kernel, and a test for each of them.

use std::net::SocketAddr;

use crate::support::cli::iptables_apply_spec;
use crate::support::{Link, Namespace, Router, Spec, Variant, try_apply};

/// How a spec is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `fwc apply`.
    Netlink,
    /// `fwc compile`, and the iptables programs of this kind.
    Iptables(Variant),
}

impl Form {
    /// Loads a spec text into a host. Panics with what fwc or the kernel said when it is refused.
    #[track_caller]
    pub fn load(self, host: &Namespace, yaml: &str) {
        self.load_spec(host, &Spec::new(yaml));
    }

    /// The same for a spec with files beside it.
    #[track_caller]
    pub fn load_spec(self, host: &Namespace, spec: &Spec) {
        match self {
            Form::Netlink => drop(try_apply(host, spec, &[]).expect_success("fwc apply")),
            Form::Iptables(variant) => drop(iptables_apply_spec(host, spec, variant)),
        }
    }
}

/// Makes three tests of a function that takes a [`Form`], in a module of the function's name.
macro_rules! in_each_form {
    ($($fact:ident),+ $(,)?) => {$(
        mod $fact {
            use crate::forms::Form;
            use crate::support::Variant;

            #[test]
            fn netlink() {
                super::$fact(Form::Netlink);
            }

            #[test]
            fn iptables_nft() {
                super::$fact(Form::Iptables(Variant::Nft));
            }

            #[test]
            fn iptables_legacy() {
                super::$fact(Form::Iptables(Variant::Legacy));
            }
        }
    )+};
}

/// The client's and the server's address on a [`Link`], by family.
pub const ENDS: [(&str, &str); 2] = [(Link::CLIENT, Link::SERVER), (Link::CLIENT_V6, Link::SERVER_V6)];

/// The client's and the backend's address around a [`Router`], by family.
pub const FAR_ENDS: [(&str, &str); 2] = [(Router::CLIENT, Router::BACKEND), (Router::CLIENT_V6, Router::BACKEND_V6)];

/// An endpoint as text, with brackets around an IPv6 address.
#[track_caller]
pub fn at(host: &str, port: u16) -> String {
    let host = host.parse().unwrap_or_else(|error| panic!("{host} is no address: {error}"));
    SocketAddr::new(host, port).to_string()
}
