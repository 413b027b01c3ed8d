//! Clients that take their time: to ask, between two questions, to read.

use super::*;

/// Waits until the server closes; what came before that.
fn until_closed(stream: &mut TcpStream) -> String {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut all = Vec::new();
    stream.read_to_end(&mut all).unwrap();
    String::from_utf8(all).unwrap()
}

#[test]
fn who_sends_a_head_byte_by_byte_loses_the_connection_and_others_do_not_notice() {
    let patience = Duration::from_millis(300);
    let server = start(LIMITS, |config| {
        config.header_timeout = patience;
        config.connections = 4;
    });
    // All places are taken by clients that never end their head.
    let begun = Instant::now();
    let mut slow: Vec<TcpStream> =
        (0..4).map(|_| server.open("POST /v1/chat/completions HTTP/1.1\r\n")).collect();
    let mut dripping = slow[0].try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        // A byte at a time does not extend the time.
        while dripping.write_all(b"X").is_ok() && begun.elapsed() < Duration::from_secs(8) {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    assert_eq!(server.get("/health").0, 200, "a place becomes free");
    for stream in &mut slow {
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest); // closed, or reset since it still sends
        assert!(!rest.starts_with(b"HTTP/1.1 200"));
    }
    drip.join().unwrap();
    let waited = begun.elapsed();
    assert!(waited >= patience && waited < Duration::from_secs(8), "{waited:?}");
    let counted = server.get("/metrics").2;
    let line = counted.lines().find(|l| l.starts_with("nanochat_connections_too_slow_total")).unwrap();
    assert!(line.ends_with(" 4"), "{line}");
}

#[test]
fn an_idle_connection_is_closed_but_not_one_that_waits_for_its_answer() {
    let server = start(Limits { rows: 1, ..LIMITS }, |config| {
        config.header_timeout = Duration::from_millis(200);
    });
    let body = hello(json!({ "max_tokens": 150, "n": 1 })).to_string();
    let asking = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut streams: Vec<TcpStream> = (0..3).map(|_| server.open(&asking)).collect();
    for stream in &mut streams {
        let all = until_closed(stream); // kept alive for the next question, which never comes
        assert!(all.starts_with("HTTP/1.1 200") && all.contains("\"finish_reason\""), "{all}");
    }
}
