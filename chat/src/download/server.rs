//! A file server on the loopback interface that misbehaves as it is told: one scripted reply per request.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does with a request.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    /// Sends what was asked for.
    Whole,
    /// Promises everything and closes after so many bytes.
    Truncated(usize),
    /// Promises everything and is silent after so many bytes.
    Stalled(usize),
    /// Sends everything, one byte of it changed.
    Corrupted,
    /// Sends everything, whatever part was asked for.
    WithoutRanges,
    /// Sends this status.
    Status(u16),
    /// Closes without a word.
    Closed,
}

/// The server; it lives as long as the test.
pub struct Server {
    port: u16,
    ranges: Arc<Mutex<Vec<Option<u64>>>>,
}

impl Server {
    /// Serve `file`; after the last reply everything is answered by [`Reply::Whole`].
    pub fn start(file: &'static [u8], replies: Vec<Reply>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ranges = Arc::new(Mutex::new(Vec::new()));
        let seen = ranges.clone();
        std::thread::spawn(move || {
            let mut replies = replies.into_iter();
            for stream in listener.incoming().flatten() {
                let from = range(&stream);
                seen.lock().unwrap().push(from);
                let reply = replies.next().unwrap_or(Reply::Whole);
                std::thread::spawn(move || answer(stream, file, from, reply)); // one that stalls keeps nobody waiting
            }
        });
        Server { port, ranges }
    }
    /// The file's address.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/file.bin", self.port)
    }
    /// Where each request wanted to begin.
    pub fn ranges(&self) -> Vec<Option<u64>> {
        self.ranges.lock().unwrap().clone()
    }
}

/// Reads a request; the beginning of the range it asks for.
fn range(stream: &TcpStream) -> Option<u64> {
    let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
    let header: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let value =
        header.iter().find_map(|l| l.to_lowercase().strip_prefix("range: bytes=").map(String::from))?;
    value.trim_end_matches('-').parse().ok()
}

fn answer(mut out: TcpStream, file: &[u8], from: Option<u64>, reply: Reply) -> std::io::Result<()> {
    let begin = match reply {
        Reply::WithoutRanges => 0,
        _ => from.unwrap_or(0) as usize,
    };
    let mut body = file[begin.min(file.len())..].to_vec();
    let (send, wait) = match reply {
        Reply::Closed => return Ok(()),
        Reply::Status(status) => {
            return write!(
                out,
                "HTTP/1.1 {status} Scripted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Reply::Truncated(n) => (n, false),
        Reply::Stalled(n) => (n, true),
        Reply::Corrupted => {
            body[3] ^= 1;
            (body.len(), false)
        }
        Reply::Whole | Reply::WithoutRanges => (body.len(), false),
    };
    let status = if begin > 0 { "206 Partial Content" } else { "200 OK" };
    let length = body.len();
    let whole = file.len();
    let range = format!("Content-Range: bytes {begin}-{}/{whole}\r\n", whole.saturating_sub(1));
    let range = if begin > 0 { range } else { String::new() };
    write!(out, "HTTP/1.1 {status}\r\n{range}Content-Length: {length}\r\nConnection: close\r\n\r\n")?;
    out.write_all(&body[..send.min(length)])?;
    out.flush()?;
    if wait {
        std::thread::sleep(Duration::from_millis(800));
    }
    Ok(())
}
