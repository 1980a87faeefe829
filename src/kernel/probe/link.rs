//! Interfaces and routes of the private namespace, over rtnetlink.
//!
//! Each interface is one end of a cable (veth) whose other end is here as well: a frame sent there comes in by the interface. Nobody asks for
//! link-layer addresses (NOARP), so what leaves by the interface is addressed to itself, and the other end throws it away.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};

use mnl::Bus;
use nix::errno::Errno;
use nix::libc;

use crate::kernel::KernelError;
use crate::kernel::socket::Socket;
use crate::kernel::wire::Request;
use crate::net::Interface;

/// Indexes are asked for, far above those that a new namespace has.
const FIRST_INDEX: i32 = 1000;
const LOOPBACK: i32 = 1;
const CREATE: u16 = libc::NLM_F_CREATE as u16 | libc::NLM_F_EXCL as u16;

/// `IFLA_ADDRESS`, `IFLA_IFNAME`, `IFLA_LINKINFO`, `IFLA_INFO_KIND`, `IFLA_INFO_DATA`, `VETH_INFO_PEER`.
const ADDRESS: u16 = 1;
const NAME: u16 = 3;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const PEER: u16 = 1;
/// `RTA_DST`, `RTA_OIF`, `RTA_PRIORITY`.
const DESTINATION: u16 = 1;
const OUT: u16 = 4;
const METRIC: u16 = 6;

/// A cable: the interface of this name, and the other end.
#[derive(Debug, Clone)]
pub(super) struct Cable {
    pub(super) name: Interface,
    number: u16,
}

impl Cable {
    pub(super) fn interface(&self) -> i32 {
        FIRST_INDEX + 2 * i32::from(self.number)
    }

    pub(super) fn other_end(&self) -> i32 {
        self.interface() + 1
    }

    fn hardware(&self, end: u8) -> [u8; 6] {
        let [high, low] = self.number.to_be_bytes();
        [2, 0, 0, high, low, end]
    }

    /// The link-layer header of a frame that comes in.
    pub(super) fn header(&self, ipv4: bool) -> Vec<u8> {
        let kind: u16 = if ipv4 { 0x0800 } else { 0x86dd };
        [&self.hardware(0)[..], &self.hardware(1), &kind.to_be_bytes()].concat()
    }
}

/// The namespace's own door to rtnetlink.
pub(super) struct Links {
    socket: Socket,
}

impl Links {
    pub(super) fn open() -> Result<Self, KernelError> {
        Ok(Links { socket: Socket::on(Bus::Route)? })
    }

    /// Lays cables; what is routed leaves by the first, unless it is sent out of another on purpose.
    pub(super) fn lay(&mut self, names: &[Interface]) -> Result<Vec<Cable>, KernelError> {
        let cables: Vec<Cable> =
            names.iter().zip(0..).map(|(name, number)| Cable { name: name.clone(), number }).collect();
        for cable in &cables {
            self.cable(cable)?;
        }
        Ok(cables)
    }

    fn cable(&mut self, cable: &Cable) -> Result<(), KernelError> {
        let peer = |request: Request| {
            let header = ifinfo(cable.other_end(), 0, 0);
            let other = format!("probe{}", cable.number);
            let value = Request::with_header(0, 0, &header)
                .with_text(NAME, &other)
                .with(ADDRESS, &cable.hardware(1))
                .finish(0)
                .split_off(crate::kernel::wire::HEADER);
            request.with(PEER | 0x8000, &value)
        };
        let request = Request::with_header(libc::RTM_NEWLINK, CREATE, &ifinfo(cable.interface(), 0, 0))
            .with_text(NAME, cable.name.as_str())
            .with(ADDRESS, &cable.hardware(0))
            .with_nested(LINK_INFO, |info| info.with(INFO_KIND, b"veth").with_nested(INFO_DATA, peer));
        self.socket.command("make a veth interface", &request)?;
        let flags = (libc::IFF_UP | libc::IFF_NOARP) as u32;
        for index in [cable.interface(), cable.other_end()] {
            let request = Request::with_header(libc::RTM_NEWLINK, 0, &ifinfo(index, flags, flags));
            self.socket.command("set an interface up", &request)?;
        }
        for family in [libc::AF_INET, libc::AF_INET6] {
            let request = route(libc::RTM_NEWROUTE, CREATE, family, 0, RouteKind::OnLink)
                .with(OUT, &cable.interface().to_ne_bytes())
                .with(METRIC, &(u32::from(cable.number) + 10).to_ne_bytes());
            self.socket.command("add a route", &request)?;
        }
        self.address(cable)
    }

    /// Gives an interface addresses of both families, to which redirects and masquerading translate. No packet can have the one, and no
    /// spec is likely to name the other.
    fn address(&mut self, cable: &Cable) -> Result<(), KernelError> {
        let [high, low] = (cable.number + 1).to_be_bytes();
        let v6 = Ipv6Addr::new(0xfd66, 0x7763, 0, 0, 0, 0, 0, cable.number + 1);
        for (family, bytes) in [(libc::AF_INET, vec![240, 0, high, low]), (libc::AF_INET6, v6.octets().to_vec())] {
            let bits = u8::try_from(bytes.len() * 8).unwrap_or(0);
            // struct ifaddrmsg: family, bits, flags (IFA_F_NODAD), scope, index.
            let mut header = vec![u8::try_from(family).unwrap_or(0), bits, 2, 0];
            header.extend(cable.interface().to_ne_bytes());
            // IFA_ADDRESS 1, IFA_LOCAL 2.
            let request = Request::with_header(libc::RTM_NEWADDR, CREATE, &header).with(1, &bytes).with(2, &bytes);
            self.socket.command("add an address", &request)?;
        }
        Ok(())
    }

    /// Makes an address this host's, or nobody's again.
    pub(super) fn set_local(&mut self, address: IpAddr, local: bool) -> Result<(), KernelError> {
        let (family, bytes) = match address {
            IpAddr::V4(address) => (libc::AF_INET, address.octets().to_vec()),
            IpAddr::V6(address) => (libc::AF_INET6, address.octets().to_vec()),
        };
        let bits = u8::try_from(bytes.len() * 8).unwrap_or(0);
        let (kind, flags) = if local { (libc::RTM_NEWROUTE, CREATE) } else { (libc::RTM_DELROUTE, 0) };
        let request = route(kind, flags, family, bits, RouteKind::Local)
            .with(DESTINATION, &bytes)
            .with(OUT, &LOOPBACK.to_ne_bytes());
        match self.socket.command("make an address local", &request) {
            Err(KernelError::Refused { errno: Errno::EEXIST, .. }) if local => Ok(()),
            done => done,
        }
    }
}

/// `struct ifinfomsg`.
fn ifinfo(index: i32, flags: u32, change: u32) -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(index.to_ne_bytes());
    header.extend(flags.to_ne_bytes());
    header.extend(change.to_ne_bytes());
    header
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RouteKind {
    OnLink,
    Local,
}

/// A message that starts with `struct rtmsg`: family, bits of destination and source, TOS, table, protocol, scope, type, flags.
fn route(kind: u16, flags: u16, family: i32, bits: u8, route: RouteKind) -> Request {
    let (table, scope, of) = match route {
        RouteKind::OnLink => (libc::RT_TABLE_MAIN, libc::RT_SCOPE_LINK, libc::RTN_UNICAST),
        RouteKind::Local => (libc::RT_TABLE_LOCAL, libc::RT_SCOPE_HOST, libc::RTN_LOCAL),
    };
    let family = u8::try_from(family).unwrap_or(0);
    let header = [family, bits, 0, 0, table, libc::RTPROT_STATIC, scope, of, 0, 0, 0, 0];
    Request::with_header(kind, flags, &header)
}

/// Sysctls of the calling thread's namespace: it routes, and takes packets from anywhere.
const SETTINGS: [(&str, &str); 10] = [
    ("net/ipv4/ip_forward", "1"),
    ("net/ipv6/conf/all/forwarding", "1"),
    ("net/ipv4/conf/all/rp_filter", "0"),
    ("net/ipv4/conf/default/rp_filter", "0"),
    ("net/ipv4/conf/all/accept_local", "1"),
    ("net/ipv4/conf/all/route_localnet", "1"),
    ("net/ipv4/conf/all/send_redirects", "0"),
    ("net/ipv4/conf/default/send_redirects", "0"),
    ("net/ipv6/conf/default/disable_ipv6", "0"),
    ("net/ipv6/conf/default/accept_dad", "0"),
];

/// Writes them. Those of files that this kernel does not have are left out.
pub(super) fn settle() -> Result<(), KernelError> {
    for (name, value) in SETTINGS {
        match fs::write(format!("/proc/sys/{name}"), value) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or(0));
                return Err(KernelError::Call { doing: "set the private namespace's sysctls", errno });
            }
            _ => {}
        }
    }
    Ok(())
}
