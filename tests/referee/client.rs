//! The client: one connection for each request.

use std::io::{self, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use meshsim::routing::Request;

use crate::http::{Message, Reader};

/// Names the request in the upstream's and in Envoy's records.
pub(crate) const NAME: &str = "x-referee";

const PATIENCE: Duration = Duration::from_secs(10);

/// What came back, and the port it was asked from.
pub(crate) struct Answer {
    pub(crate) message: Message,
    pub(crate) port: u16,
}

/// Sends a request as it is written.
pub(crate) fn send(to: SocketAddr, request: &Request, name: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    let port = stream.local_addr()?.port();
    let mut text = format!("{} {} HTTP/1.1\r\nhost: {}\r\n{NAME}: {name}\r\n", request.method, request.path, request.authority);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    stream.write_all(text.as_bytes())?;
    let message = Reader::new(stream).answer(request.method == "HEAD")?;
    Ok(Answer { message, port })
}
