//! Clients of a server on loopback: each asks, reads the stream to its end, noting when each piece came, and asks again.

use anyhow::{Context, ensure};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

/// One request and when things happened.
pub struct Call {
    /// It was sent.
    pub begun: Instant,
    /// A piece of text arrived: usually one token.
    pub pieces: Vec<Instant>,
    /// Tokens, as the server counted them.
    pub tokens: usize,
}

/// One client for each list of bodies, all at the same time.
pub fn run(address: SocketAddr, clients: Vec<Vec<String>>) -> anyhow::Result<Vec<Call>> {
    let client = |bodies: Vec<String>| {
        std::thread::spawn(move || {
            bodies.iter().map(|body| call(address, body)).collect::<anyhow::Result<Vec<_>>>()
        })
    };
    let threads: Vec<_> = clients.into_iter().map(client).collect();
    let mut calls = Vec::new();
    for thread in threads {
        calls.extend(thread.join().map_err(|_| anyhow::anyhow!("a client panicked"))??);
    }
    Ok(calls)
}

fn call(address: SocketAddr, body: &str) -> anyhow::Result<Call> {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(address).context("connecting")?;
    let length = body.len();
    let head = "POST /v1/completions HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json";
    stream.write_all(format!("{head}\r\nContent-Length: {length}\r\n\r\n{body}").as_bytes())?;
    let (mut reader, mut line, mut pieces, mut tokens) =
        (BufReader::new(stream), String::new(), Vec::new(), 0);
    reader.read_line(&mut line)?;
    ensure!(line.contains(" 200 "), "the server answered {}", line.trim());
    while !line.starts_with("data: [DONE]") {
        line.clear();
        ensure!(reader.read_line(&mut line)? > 0, "the stream broke off");
        if line.starts_with("data: {") {
            pieces.push(Instant::now());
        }
        if let Some((_, counted)) = line.split_once("\"completion_tokens\":") {
            tokens = counted.split(',').next().and_then(|n| n.parse().ok()).context("reading the count")?;
        }
    }
    Ok(Call { begun, pieces, tokens })
}
