//! As much of HTTP/1.1 as client and upstream need: messages are read whole.

use std::io::{self, Read};
use std::net::TcpStream;

/// A message: the words of its first line, its headers, its body.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

const HEADERS_MAX: usize = 64;

impl Message {
    /// The first line of a header, by lower-case name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// Reads messages of one connection.
pub(crate) struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Reader {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Reader { stream, buffer: Vec::new() }
    }

    fn more(&mut self) -> io::Result<()> {
        let mut chunk = [0; 8192];
        let count = self.stream.read(&mut chunk)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&chunk[..count]);
        Ok(())
    }

    /// The next request.
    pub(crate) fn request(&mut self) -> io::Result<Message> {
        let (length, mut message) = loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut request = httparse::Request::new(&mut headers);
            if let httparse::Status::Complete(length) = request.parse(&self.buffer).map_err(io::Error::other)? {
                let text = |part: Option<&str>| part.unwrap_or_default().to_owned();
                let (method, path) = (text(request.method), text(request.path));
                break (length, Message { method, path, headers: owned(request.headers), ..Message::default() });
            }
            self.more()?;
        };
        self.buffer.drain(..length);
        message.body = self.body(&message, false)?;
        Ok(message)
    }

    /// The next answer; one to HEAD has no body. Answers that only inform are skipped.
    pub(crate) fn answer(&mut self, to_head: bool) -> io::Result<Message> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut response = httparse::Response::new(&mut headers);
            let httparse::Status::Complete(length) = response.parse(&self.buffer).map_err(io::Error::other)? else {
                self.more()?;
                continue;
            };
            let status = response.code.unwrap_or_default();
            let mut message = Message { status, headers: owned(response.headers), ..Message::default() };
            self.buffer.drain(..length);
            if status / 100 == 1 {
                continue;
            }
            if !to_head && status != 204 && status != 304 {
                message.body = self.body(&message, true)?;
            }
            return Ok(message);
        }
    }

    fn body(&mut self, message: &Message, until_close: bool) -> io::Result<Vec<u8>> {
        if message.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return self.chunks();
        }
        match message.header("content-length").and_then(|length| length.parse().ok()) {
            Some(length) => self.take(length),
            None if until_close => {
                while self.more().is_ok() {}
                Ok(std::mem::take(&mut self.buffer))
            }
            None => Ok(Vec::new()),
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            self.more()?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, size))) => {
                    self.buffer.drain(..start);
                    let size = usize::try_from(size).map_err(io::Error::other)?;
                    body.extend(self.take(size)?);
                    self.take(2)?;
                    if size == 0 {
                        return Ok(body);
                    }
                }
                Ok(httparse::Status::Partial) => self.more()?,
                Err(_) => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    headers.iter().map(|h| (h.name.to_ascii_lowercase(), String::from_utf8_lossy(h.value).into_owned())).collect()
}
