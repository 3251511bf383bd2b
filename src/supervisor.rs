//! What systemd, or whoever started us under its protocol, is told: one datagram of lines at `$NOTIFY_SOCKET`.
//!
//! Without such an address nobody listens, and nothing is said. Nothing here fails the daemon either: a supervisor that
//! is gone is its own affair. Written here because it is a dozen lines, abstract addresses included.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// Who listens, if anyone does.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<UnixDatagram>,
    /// Ends the process unless it hears of it this often.
    pub patience: Option<Duration>,
}

impl Supervisor {
    /// As the environment says. `var` reads it.
    pub fn of(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let Some(address) = var("NOTIFY_SOCKET") else {
            return Self::default();
        };
        let socket = connect(&address)
            .inspect_err(|error| tracing::warn!("the supervisor cannot be told anything: {error}"));
        let text = |name| var(name).and_then(|it| it.into_string().ok());
        // Meant for another process of the service, where it names one.
        let ours = text("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let micros = text("WATCHDOG_USEC").and_then(|it| it.parse().ok());
        Self {
            socket: socket.ok(),
            patience: micros.filter(|_| ours).map(Duration::from_micros),
        }
    }

    pub fn say(&self, lines: &[&str]) {
        if let Some(socket) = &self.socket {
            // Nobody there any more, or too busy to hear: the next one may arrive.
            drop(socket.send(lines.join("\n").as_bytes()));
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    // What stops at a full queue must not be the daemon.
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(by: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let len = by.recv(&mut bytes).expect("something was said");
        String::from_utf8(bytes[..len].to_vec()).expect("text")
    }

    fn env(address: &OsStr, pid: u32) -> impl Fn(&str) -> Option<OsString> {
        move |name| match name {
            "NOTIFY_SOCKET" => Some(address.to_owned()),
            "WATCHDOG_USEC" => Some("60000000".into()),
            "WATCHDOG_PID" => Some(pid.to_string().into()),
            _ => None,
        }
    }

    #[test]
    fn every_line_arrives_in_one_datagram_at_a_path_and_at_an_abstract_address() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("bound");
        let own = std::process::id();
        let supervisor = Supervisor::of(env(path.as_os_str(), own));
        supervisor.say(&["READY=1", "STATUS=就绪"]);
        assert_eq!(heard(&by_path), "READY=1\nSTATUS=就绪");
        assert_eq!(supervisor.patience, Some(Duration::from_mins(1)));

        let name = format!("lubu-test-{own}");
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let by_name = UnixDatagram::bind_addr(&address).expect("bound");
        let supervisor = Supervisor::of(env(OsStr::new(&format!("@{name}")), own + 1));
        supervisor.say(&["STOPPING=1"]);
        assert_eq!(heard(&by_name), "STOPPING=1");
        assert_eq!(supervisor.patience, None, "meant for another process");
    }

    #[test]
    fn without_anybody_to_tell_nothing_is_said_and_nothing_fails() {
        let nobody = Supervisor::of(|_| None);
        nobody.say(&["READY=1"]);
        assert_eq!(nobody.patience, None);
        let gone = Supervisor::of(env(OsStr::new("/nowhere/notify"), std::process::id()));
        gone.say(&["READY=1"]);
    }
}
