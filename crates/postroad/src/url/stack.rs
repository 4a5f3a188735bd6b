//! What stands in front of `://`.

use core::fmt;

/// A message protocol that a URL can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// The Streaming Message Protocol, `smp`.
    Smp,
    /// The Simple Messaging Protocol, IP protocol 121: mailslots, `smp121`.
    Smp121,
    /// WRP messages, with streams by the Simple Streaming Protocol: devices and their cloud, `wrp`.
    Wrp,
    /// Sessions of SMRP, which outlive their connections: `smrp`.
    Smrp,
}

impl Protocol {
    pub(crate) const ALL: [Self; 4] = [Self::Smp, Self::Smp121, Self::Wrp, Self::Smrp];

    /// The word for it in a URL.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Smp => "smp",
            Self::Smp121 => "smp121",
            Self::Wrp => "wrp",
            Self::Smrp => "smrp",
        }
    }
}

/// The carrier at the bottom of a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// A TCP connection, in the clear.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// A WebSocket, in the clear.
    Ws,
    /// A WebSocket over TLS.
    Wss,
    /// A Unix socket.
    Unix,
    /// Memory of this process.
    Mem,
    /// Raw IP, without ports. In a URL it has no word of its own: `smp121://`.
    Ip,
    /// UDP.
    Udp,
}

impl Transport {
    pub(crate) const ALL: [Self; 8] =
        [Self::Tcp, Self::Tls, Self::Ws, Self::Wss, Self::Unix, Self::Mem, Self::Ip, Self::Udp];

    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Ws => "ws",
            Self::Wss => "wss",
            Self::Unix => "unix",
            Self::Mem => "mem",
            Self::Ip => "ip",
            Self::Udp => "udp",
        }
    }

    /// True where certificates are in play.
    #[must_use]
    pub const fn is_tls(self) -> bool {
        matches!(self, Self::Tls | Self::Wss)
    }

    /// True for WebSockets.
    #[must_use]
    pub const fn is_ws(self) -> bool {
        matches!(self, Self::Ws | Self::Wss)
    }
}

/// A protocol, one under it where there are two, and the carrier. Shown as in a URL: `smp+tcp`, `wrp+smp+tcp`, `smp+smrp+tls`,
/// `smp121`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stack {
    protocol: Protocol,
    under: Option<Protocol>,
    transport: Transport,
}

impl Stack {
    /// All that exist.
    pub const ALL: [Self; 39] = [
        Self::new(Protocol::Smp, Transport::Tcp),
        Self::new(Protocol::Smp, Transport::Tls),
        Self::new(Protocol::Smp, Transport::Ws),
        Self::new(Protocol::Smp, Transport::Wss),
        Self::new(Protocol::Smp, Transport::Unix),
        Self::new(Protocol::Smp, Transport::Mem),
        Self::new(Protocol::Smp121, Transport::Ip),
        Self::new(Protocol::Smp121, Transport::Udp),
        Self::new(Protocol::Smp121, Transport::Mem),
        Self::new(Protocol::Wrp, Transport::Ws),
        Self::new(Protocol::Wrp, Transport::Wss),
        Self::new(Protocol::Wrp, Transport::Tcp),
        Self::new(Protocol::Wrp, Transport::Tls),
        Self::new(Protocol::Wrp, Transport::Unix),
        Self::new(Protocol::Wrp, Transport::Mem),
        Self::over(Protocol::Wrp, Protocol::Smp, Transport::Tcp),
        Self::over(Protocol::Wrp, Protocol::Smp, Transport::Tls),
        Self::over(Protocol::Wrp, Protocol::Smp, Transport::Ws),
        Self::over(Protocol::Wrp, Protocol::Smp, Transport::Wss),
        Self::over(Protocol::Wrp, Protocol::Smp, Transport::Unix),
        Self::over(Protocol::Wrp, Protocol::Smp, Transport::Mem),
        Self::new(Protocol::Smrp, Transport::Tcp),
        Self::new(Protocol::Smrp, Transport::Tls),
        Self::new(Protocol::Smrp, Transport::Ws),
        Self::new(Protocol::Smrp, Transport::Wss),
        Self::new(Protocol::Smrp, Transport::Unix),
        Self::new(Protocol::Smrp, Transport::Mem),
        Self::over(Protocol::Smp, Protocol::Smrp, Transport::Tcp),
        Self::over(Protocol::Smp, Protocol::Smrp, Transport::Tls),
        Self::over(Protocol::Smp, Protocol::Smrp, Transport::Ws),
        Self::over(Protocol::Smp, Protocol::Smrp, Transport::Wss),
        Self::over(Protocol::Smp, Protocol::Smrp, Transport::Unix),
        Self::over(Protocol::Smp, Protocol::Smrp, Transport::Mem),
        Self::over(Protocol::Wrp, Protocol::Smrp, Transport::Tcp),
        Self::over(Protocol::Wrp, Protocol::Smrp, Transport::Tls),
        Self::over(Protocol::Wrp, Protocol::Smrp, Transport::Ws),
        Self::over(Protocol::Wrp, Protocol::Smrp, Transport::Wss),
        Self::over(Protocol::Wrp, Protocol::Smrp, Transport::Unix),
        Self::over(Protocol::Wrp, Protocol::Smrp, Transport::Mem),
    ];

    const fn new(protocol: Protocol, transport: Transport) -> Self {
        Self { protocol, under: None, transport }
    }

    const fn over(protocol: Protocol, under: Protocol, transport: Transport) -> Self {
        Self { protocol, under: Some(under), transport }
    }

    /// The outermost protocol.
    #[must_use]
    pub const fn protocol(self) -> Protocol {
        self.protocol
    }

    /// The protocol between the outermost one and the carrier, where there is one.
    #[must_use]
    pub const fn under(self) -> Option<Protocol> {
        self.under
    }

    /// True where this protocol is one of the two.
    #[must_use]
    pub fn has(self, protocol: Protocol) -> bool {
        self.protocol == protocol || self.under == Some(protocol)
    }

    /// The same protocols over another carrier, where that exists.
    pub(crate) fn with_transport(self, transport: Transport) -> Option<Self> {
        let wanted = Self { transport, ..self };
        Self::ALL.into_iter().find(|stack| *stack == wanted)
    }

    /// True where the outermost protocol goes through a stream of a session.
    pub(crate) const fn is_in_session(self) -> bool {
        matches!(self.under, Some(Protocol::Smrp))
    }

    /// True for WRP as devices speak it: a message is one of the WebSocket.
    pub(crate) fn is_device_link(self) -> bool {
        self.protocol == Protocol::Wrp && self.under.is_none() && self.transport.is_ws()
    }

    /// The carrier.
    #[must_use]
    pub const fn transport(self) -> Transport {
        self.transport
    }

    /// A URL of it, for people to start from.
    #[must_use]
    pub const fn example(self) -> &'static str {
        match (self.protocol, self.transport) {
            _ if self.is_in_session() => self.example_in_session(),
            (Protocol::Smp121, Transport::Udp) => "smp121+udp://localhost/printer",
            (Protocol::Smp121, Transport::Mem) => "smp121+mem://inbox/printer",
            (Protocol::Smp121, _) => "smp121://10.0.0.2/printer",
            (Protocol::Smp, Transport::Tls) => "smp+tls://localhost:7001",
            (Protocol::Smp, Transport::Ws) => "smp+ws://localhost:7001",
            (Protocol::Smp, Transport::Wss) => "smp+wss://localhost:7001",
            (Protocol::Smp, Transport::Unix) => "smp+unix:///run/app.sock",
            (Protocol::Smp, Transport::Mem) => "smp+mem://inbox",
            (Protocol::Smp, _) => "smp+tcp://localhost:7001",
            (Protocol::Smrp, Transport::Tls) => "smrp+tls://localhost:7443",
            (Protocol::Smrp, Transport::Ws) => "smrp+ws://localhost:7002",
            (Protocol::Smrp, Transport::Wss) => "smrp+wss://localhost:7443",
            (Protocol::Smrp, Transport::Unix) => "smrp+unix:///run/app.sock",
            (Protocol::Smrp, Transport::Mem) => "smrp+mem://inbox",
            (Protocol::Smrp, _) => "smrp+tcp://localhost:7002",
            (Protocol::Wrp, transport) => match (self.under, transport) {
                (None, Transport::Ws) => "wrp+ws://localhost:8080/api/v2/device",
                (None, Transport::Wss) => "wrp+wss://localhost:8443/api/v2/device",
                (None, Transport::Tls) => "wrp+tls://localhost:7001",
                (None, Transport::Unix) => "wrp+unix:///run/app.sock",
                (None, Transport::Mem) => "wrp+mem://inbox",
                (None, _) => "wrp+tcp://localhost:7001",
                (Some(_), Transport::Ws) => "wrp+smp+ws://localhost:7001",
                (Some(_), Transport::Wss) => "wrp+smp+wss://localhost:7001",
                (Some(_), Transport::Tls) => "wrp+smp+tls://localhost:7001",
                (Some(_), Transport::Unix) => "wrp+smp+unix:///run/app.sock",
                (Some(_), Transport::Mem) => "wrp+smp+mem://inbox",
                (Some(_), _) => "wrp+smp+tcp://localhost:7001",
            },
        }
    }

    const fn example_in_session(self) -> &'static str {
        match (self.protocol, self.transport) {
            (Protocol::Wrp, Transport::Tls) => "wrp+smrp+tls://localhost:7443/devices",
            (Protocol::Wrp, Transport::Ws) => "wrp+smrp+ws://localhost:7002",
            (Protocol::Wrp, Transport::Wss) => "wrp+smrp+wss://localhost:7443",
            (Protocol::Wrp, Transport::Unix) => "wrp+smrp+unix:///run/app.sock",
            (Protocol::Wrp, Transport::Mem) => "wrp+smrp+mem://inbox",
            (Protocol::Wrp, _) => "wrp+smrp+tcp://localhost:7002/devices",
            (_, Transport::Tls) => "smp+smrp+tls://localhost:7443/inbox",
            (_, Transport::Ws) => "smp+smrp+ws://localhost:7002",
            (_, Transport::Wss) => "smp+smrp+wss://localhost:7443",
            (_, Transport::Unix) => "smp+smrp+unix:///run/app.sock",
            (_, Transport::Mem) => "smp+smrp+mem://inbox",
            (_, _) => "smp+smrp+tcp://localhost:7002/inbox",
        }
    }

    /// The path where a URL names none.
    //= WRP-N2
    pub(super) fn default_path(self) -> &'static str {
        if self.is_device_link() { wrp::link::PATH } else { "/" }
    }

    /// The port where a URL names none.
    pub(super) const fn default_port(self) -> Option<u16> {
        match self.transport {
            Transport::Ws => Some(80),
            Transport::Wss => Some(443),
            Transport::Udp => Some(12_121),
            _ => None,
        }
    }
}

impl fmt::Display for Stack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.protocol.word())?;
        if let Some(under) = self.under {
            write!(f, "+{}", under.word())?;
        }
        match self.transport {
            Transport::Ip => Ok(()),
            transport => write!(f, "+{}", transport.word()),
        }
    }
}
