//! The upstream of every endpoint: one socket on every loopback address, which remembers what came to
//! which.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::http::{Message, Reader};

/// A request that arrived, and the address it came to.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) at: IpAddr,
    pub(crate) request: Message,
}

/// The upstream. It runs until the process ends.
pub(crate) struct Stub {
    pub(crate) port: u16,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl Stub {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let arrivals = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&arrivals);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let arrivals = Arc::clone(&shared);
                // A connection that breaks is Envoy's business.
                thread::spawn(move || drop(serve(stream, &arrivals)));
            }
        });
        Stub { port, arrivals }
    }

    /// What arrived since the last time.
    pub(crate) fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How much arrived since the last taking.
    pub(crate) fn count(&self) -> usize {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn serve(mut stream: TcpStream, arrivals: &Mutex<Vec<Arrival>>) -> io::Result<()> {
    let at = stream.local_addr()?.ip();
    stream.set_nodelay(true)?;
    let mut reader = Reader::new(stream.try_clone()?);
    loop {
        let request = reader.request()?;
        let body = if request.method == "HEAD" { "" } else { "ok" };
        arrivals.lock().unwrap_or_else(PoisonError::into_inner).push(Arrival { at, request });
        write!(stream, "HTTP/1.1 200 OK\r\nx-powered-by: stub\r\ncontent-length: 2\r\n\r\n{body}")?;
    }
}
