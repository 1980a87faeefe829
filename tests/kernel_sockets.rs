//! The sockets of a network namespace: what netlink tells is what the files in /proc tell.

mod support;

use std::collections::BTreeSet;
use std::net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};

use fwc::kernel::socket::Socket;
use fwc::kernel::sockets::{self, Connection, Listener, Sockets};
use fwc::net::Protocol;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use support::Namespace;

/// More than one datagram of the kernel holds answers about.
const MANY: usize = 300;

/// Sockets of every kind, which are open as long as this is.
struct Open {
    /// Established, client and server.
    streams: Vec<TcpStream>,
    _others: (Vec<TcpListener>, TcpStream, Vec<UdpSocket>),
}

impl Open {
    /// In the namespace of the calling thread.
    fn new() -> Open {
        let listen = |to: &str| TcpListener::bind(to).expect("a listener");
        let listeners = vec![listen("127.0.0.1:8001"), listen("[::1]:8002"), listen("[::]:8003"), listen("0.0.0.0:22")];
        let connect = |to: &str, listener: &TcpListener| {
            let client = TcpStream::connect(to).expect("a connection");
            [client, listener.accept().expect("a connection").0]
        };
        let mut streams = Vec::new();
        for _ in 0..MANY / 2 {
            streams.extend(connect("127.0.0.1:8001", &listeners[0]));
        }
        streams.extend(connect("[::1]:8002", &listeners[1]));
        streams.extend(connect("[::1]:8003", &listeners[2]));
        // The server's end is an IPv6 socket with IPv4 addresses.
        streams.extend(connect("127.0.0.1:8003", &listeners[2]));
        // Closed on both sides, and on one: neither is established any more.
        drop(connect("127.0.0.1:8003", &listeners[2]));
        let [closing, _] = connect("127.0.0.1:8003", &listeners[2]);
        let bind = |to: &str| UdpSocket::bind(to).expect("a socket");
        let udp = vec![bind("127.0.0.1:53"), bind("[::1]:53"), bind("[::]:123"), bind("0.0.0.0:69")];
        let speak = |from: &str, to: &str| {
            let socket = bind(from);
            socket.connect(to).expect("a peer");
            socket
        };
        let speaking = [
            speak("127.0.0.1:5001", "127.0.0.1:53"),
            speak("[::1]:5002", "[::1]:53"),
            speak("[::]:5003", "[::ffff:127.0.0.1]:53"),
        ];
        let udp = udp.into_iter().chain(speaking).collect();
        Open { streams, _others: (listeners, closing, udp) }
    }
}

type Seen = (BTreeSet<String>, BTreeSet<String>);

/// Listeners with their processes, and connections. None may be seen twice.
fn seen(sockets: &Sockets) -> Seen {
    let (listeners, connections) = (sockets.listeners(), sockets.connections().collect::<Vec<_>>());
    let seen: Seen = (words(&listeners), connections.iter().map(|one| format!("{one:?}")).collect());
    assert_eq!((seen.0.len(), seen.1.len()), (listeners.len(), connections.len()), "{seen:?}");
    seen
}

fn words(listeners: &[Listener]) -> BTreeSet<String> {
    listeners.iter().map(|one| format!("{one:?}")).collect()
}

/// Netlink, where /proc is empty: nothing can come from the files there.
fn without_files() -> Vec<Connection> {
    unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
        .expect("private mounts");
    mount(Some("none"), "/proc", Some("tmpfs"), MsFlags::empty(), None::<&str>).expect("an empty /proc");
    assert_eq!(Sockets::through(None).connections().count(), 0);
    Sockets::read().connections().collect()
}

#[test]
fn netlink_tells_what_the_files_tell() {
    let namespace = Namespace::new("sockets");
    let open = namespace.enter(Open::new);
    let read = namespace.enter(|| seen(&Sockets::read()));
    let files = namespace.enter(|| seen(&Sockets::through(None)));
    assert_eq!(read, files);
    assert_eq!(namespace.enter(|| words(&sockets::listeners())), files.0);
    // A kernel without inet_diag: netfilter's socket refuses the requests.
    let refused = namespace.enter(|| seen(&Sockets::through(Some(Socket::open().expect("a socket to netfilter")))));
    assert_eq!(refused, files);
    let elsewhere = Namespace::new("elsewhere");
    assert_eq!(elsewhere.enter(|| seen(&Sockets::read())), Seen::default());
    drop(open);
}

#[test]
fn sockets_of_every_kind_are_seen_over_netlink() {
    let namespace = Namespace::new("sockets");
    let open = namespace.enter(Open::new);
    let waiting = namespace.enter(sockets::listeners);
    let waiting: Vec<_> = waiting.iter().map(|one| format!("{}/{}", one.address, one.protocol)).collect();
    // Sockets of IPv4 come before those of IPv6.
    let (tcp, udp) = waiting.split_at(4);
    let sorted = |part: &[String]| part.iter().cloned().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    assert_eq!(sorted(&tcp[..2]), ["0.0.0.0:22/tcp", "127.0.0.1:8001/tcp"]);
    assert_eq!(sorted(&tcp[2..]), ["[::1]:8002/tcp", "[::]:8003/tcp"]);
    assert_eq!(sorted(&udp[..2]), ["0.0.0.0:69/udp", "127.0.0.1:53/udp"]);
    assert_eq!(sorted(&udp[2..]), ["[::1]:53/udp", "[::]:123/udp"]);

    let connections = namespace.enter(without_files);
    assert_eq!(connections.len(), open.streams.len() + 3);
    let has = |protocol, local: SocketAddr, peer: SocketAddr| {
        assert!(connections.contains(&Connection { protocol, local, peer }), "{protocol} {local} {peer}");
    };
    for stream in &open.streams {
        let canonical = |end: SocketAddr| SocketAddr::new(end.ip().to_canonical(), end.port());
        has(Protocol::TCP, canonical(stream.local_addr().unwrap()), canonical(stream.peer_addr().unwrap()));
    }
    has(Protocol::UDP, "127.0.0.1:5001".parse().unwrap(), "127.0.0.1:53".parse().unwrap());
    has(Protocol::UDP, (Ipv6Addr::LOCALHOST, 5002).into(), (Ipv6Addr::LOCALHOST, 53).into());
    has(Protocol::UDP, "127.0.0.1:5003".parse().unwrap(), "127.0.0.1:53".parse().unwrap());
    drop(open);
}
