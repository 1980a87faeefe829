//! Facts about the host and namespaces, in private network namespaces.

mod support;

use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

use fwc::kernel::host::{SshConnection, conntrack, local_addresses, memory};
use fwc::kernel::namespace::{NamespaceError, enter, sandbox};
use fwc::kernel::socket::Socket;
use fwc::kernel::sockets::{Listener, Sockets};
use fwc::kernel::version::require_supported;
use fwc::net::Protocol;
use support::Namespace;

fn listeners() -> Vec<Listener> {
    Sockets::read().listeners()
}

#[test]
fn listeners_have_their_process_and_sshd_is_known_by_its_name() {
    let namespace = Namespace::new("kernel");
    assert_eq!(namespace.enter(listeners), []);
    std::fs::write("/proc/self/comm", "sshd").unwrap();
    let found = namespace.enter(|| {
        let _v4 = TcpListener::bind("127.0.0.1:2222").unwrap();
        let _v6 = TcpListener::bind("[::]:22").unwrap();
        listeners()
    });
    let texts: Vec<_> = found.iter().map(|found| found.address.to_string()).collect();
    assert_eq!(texts, ["127.0.0.1:2222", "[::]:22"]);
    for listener in &found {
        let process = listener.process.as_ref().unwrap();
        assert_eq!((process.id as u32, process.name.as_str()), (std::process::id(), "sshd"));
        assert!(listener.ssh);
    }
    std::fs::write("/proc/self/comm", "httpd").unwrap();
    let other = Namespace::new("kernel");
    let found = other.enter(|| {
        let _v4 = TcpListener::bind("127.0.0.1:22").unwrap();
        listeners()
    });
    assert!(!found[0].ssh && found[0].process.as_ref().unwrap().name == "httpd");
}

#[test]
fn udp_waits_until_it_has_a_peer() {
    let namespace = Namespace::new("kernel");
    namespace.enter(|| {
        let waits = UdpSocket::bind("127.0.0.1:53").unwrap();
        let speaks = UdpSocket::bind("127.0.0.1:5353").unwrap();
        speaks.connect(waits.local_addr().unwrap()).unwrap();
        let found = listeners();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((found[0].protocol, found[0].address), (Protocol::UDP, waits.local_addr().unwrap()));
        let tcp = TcpListener::bind("127.0.0.1:80").unwrap();
        let stream = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let ends: Vec<_> = Sockets::read().connections().map(|c| (c.protocol, c.local, c.peer)).collect();
        let (here, there) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
        assert!(ends.contains(&(Protocol::TCP, here, there)) && ends.contains(&(Protocol::TCP, there, here)));
        assert!(ends.contains(&(Protocol::UDP, speaks.local_addr().unwrap(), waits.local_addr().unwrap())));
    });
}

#[test]
fn local_addresses_are_those_of_the_namespace() {
    let namespace = Namespace::new("kernel");
    namespace.ok("ip link add eth0 type veth peer name eth1".split_whitespace());
    namespace.ok("ip address add 203.0.113.5/24 dev eth0".split_whitespace());
    namespace.ok("ip address add 2001:db8::5/64 dev eth0 nodad".split_whitespace());
    namespace.ok("ip link set eth0 up".split_whitespace());
    let found = namespace.enter(local_addresses);
    for address in ["203.0.113.5", "2001:db8::5"] {
        assert!(found.iter().any(|a| a.interface == "eth0" && a.address.to_string() == address), "{found:?}");
    }
    assert!(found.iter().all(|a| ["eth0", "eth1", "lo"].contains(&a.interface.as_str())), "{found:?}");
}

#[test]
fn the_conntrack_table_and_memory_have_figures() {
    let namespace = Namespace::new("kernel");
    namespace.write_nft("table inet t { chain c { type filter hook input priority 0; ct state new accept; }; }");
    let table = namespace.enter(conntrack).unwrap();
    assert!(table.max > 0 && table.buckets > 0 && table.count <= table.max);
    assert!(memory().unwrap() > 16 * 1024 * 1024);
    assert_eq!(require_supported(), Ok(()));
}

#[test]
fn a_sandbox_is_empty_with_loopback_up() {
    let namespace = Namespace::new("kernel");
    namespace.write_nft("table ip t { chain c { counter; }; }");
    namespace.enter(|| {
        let outside = Socket::open().unwrap().generation().unwrap();
        assert!(sandbox().unwrap().privileged);
        assert_ne!(Socket::open().unwrap().generation().unwrap(), outside);
        let found = local_addresses();
        assert!(found.iter().any(|address| address.address.to_string() == "127.0.0.1"), "{found:?}");
        let listener = TcpListener::bind("127.0.0.1:80").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    });
    assert!(namespace.ruleset().contains("table ip t"));
}

#[test]
fn a_namespace_is_entered_by_its_name() {
    let namespace = Namespace::new("kernel");
    namespace.ok("ip link add eth0 type veth peer name eth1".split_whitespace());
    namespace.add_address("203.0.113.77/24", "eth0");
    let name = namespace.name();
    let entered = std::thread::scope(|scope| {
        let work = || {
            enter(name).unwrap();
            local_addresses()
        };
        scope.spawn(work).join().unwrap()
    });
    assert!(entered.iter().any(|address| address.address.to_string() == "203.0.113.77"), "{entered:?}");
}

/// In the environment of the process that only says which connection it found.
const CHILD: &str = "FWC_TEST_SAYS_CONNECTION";

#[test]
fn a_login_is_found_where_sudo_has_stripped_the_environment() {
    if std::env::var_os(CHILD).is_some() {
        println!("found {:?}", SshConnection::of_this_process());
        return;
    }
    // The shell is the login, env is sudo, and the test's own binary is fwc. The last word keeps the shell where it is.
    let script = format!("env -u SSH_CONNECTION {CHILD}=1 \"$0\" --exact $1 --nocapture; exit $?");
    let output = Command::new("sh")
        .arg("-c")
        .arg(script)
        .arg(std::env::current_exe().unwrap())
        .arg("a_login_is_found_where_sudo_has_stripped_the_environment")
        .env("SSH_CONNECTION", "198.51.100.7 50022 203.0.113.5 22")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("found Some(SshConnection { client: 198.51.100.7:50022, server: 203.0.113.5:22 })"),
        "{text}"
    );
}

#[test]
fn names_that_are_no_namespaces_are_refused() {
    assert_eq!(enter("fwc-test-K-nowhere"), Err(NamespaceError::Missing("fwc-test-K-nowhere".into())));
    for name in ["", ".", "..", "a/b", "../net/lo"] {
        assert_eq!(enter(name), Err(NamespaceError::Name(name.into())));
    }
}
