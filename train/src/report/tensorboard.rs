//! A run's figures as TensorBoard reads them: a file of events, each a small protocol buffer in a frame of TFRecord.
//!
//! A frame is the length (u64), its check sum, the data, its check sum; all numbers are little-endian. The check sum is
//! CRC-32C (Castagnoli), rotated by 15 bits and shifted by a constant, so that the sum of data that holds sums is no
//! trivial value. An event has a time (field 1, f64), a step (2, varint) and a summary (5) of values (1), each with a tag
//! (1) and a number (2, f32); the first one has the format's version (3) instead.

use super::collect::Run;

/// What a name of such a file must contain.
pub const FILE: &str = "events.out.tfevents.0.nanochat";

/// The file of a run. Times are seconds since its begin, spread evenly over the steps: the metrics know no clock.
pub fn events(run: &Run) -> Vec<u8> {
    let mut points: Vec<(f64, &str, f64)> = Vec::new();
    for (name, curve) in &run.curves {
        points.extend(curve.iter().map(|&(step, value)| (step, name.as_str(), value)));
    }
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    let per_step = run.seconds / run.steps.max(1) as f64;
    let mut out = Vec::new();
    frame(&event(0.0, None, &field_bytes(3, b"brain.Event:2")), &mut out);
    for (step, name, value) in points {
        let mut entry = field_bytes(1, name.as_bytes());
        entry.push((2 << 3) | 5); // a fixed 32-bit field
        entry.extend((value as f32).to_le_bytes());
        let summary = field_bytes(5, &field_bytes(1, &entry));
        frame(&event(step * per_step, Some(step as u64), &summary), &mut out);
    }
    out
}

fn event(seconds: f64, step: Option<u64>, rest: &[u8]) -> Vec<u8> {
    let mut out = vec![(1 << 3) | 1]; // a fixed 64-bit field
    out.extend(seconds.to_le_bytes());
    if let Some(step) = step {
        out.push(2 << 3); // a varint
        varint(step, &mut out);
    }
    out.extend(rest);
    out
}

fn field_bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![(number << 3) | 2]; // a field with a length
    varint(bytes.len() as u64, &mut out);
    out.extend(bytes);
    out
}

/// Seven bits per byte, the lowest first; the highest bit says that more follow.
fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn frame(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend(length);
    out.extend(masked(&length).to_le_bytes());
    out.extend(data);
    out.extend(masked(data).to_le_bytes());
}

fn masked(data: &[u8]) -> u32 {
    crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// CRC-32C, bit by bit.
fn crc32c(data: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !data.iter().fold(!0, |crc: u32, &byte| (0..8).fold(crc ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_sum_is_that_of_the_published_vectors() {
        // RFC 3720, B.4, and the usual one.
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
    }

    /// With NANOCHAT_EVENTS the file is left there, for TensorBoard's own reader (`cargo xtask soak tasks`).
    #[test]
    fn a_file_is_frames_of_events_in_the_order_of_steps() {
        let mut run = Run { steps: 301, seconds: 602.0, ..Run::default() };
        run.curves.insert("loss".into(), vec![(0.0, 4.5), (300.0, 2.25)]);
        run.curves.insert("val_bpb".into(), vec![(300.0, 1.125)]);
        let file = events(&run);
        if let Some(path) = std::env::var_os("NANOCHAT_EVENTS") {
            std::fs::write(path, &file).unwrap();
        }
        let (mut rest, mut found) = (file.as_slice(), Vec::new());
        while !rest.is_empty() {
            let n = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            assert_eq!(rest[8..12], masked(&rest[..8]).to_le_bytes());
            assert_eq!(rest[12 + n..16 + n], masked(&rest[12..12 + n]).to_le_bytes());
            found.push(rest[12..12 + n].to_vec());
            rest = &rest[16 + n..];
        }
        assert_eq!(found.len(), 4);
        assert!(found[0].ends_with(b"\x1a\x0dbrain.Event:2"));
        let first = [
            &[9][..],
            &0f64.to_le_bytes(),
            b"\x10\x00\x2a\x0d\x0a\x0b\x0a\x04loss\x15",
            &4.5f32.to_le_bytes(),
        ];
        assert_eq!(found[1], first.concat());
        let last = [&[9][..], &600f64.to_le_bytes(), b"\x10\xac\x02\x2a\x10\x0a\x0e\x0a\x07val_bpb\x15"];
        assert_eq!(found[3], [&last.concat()[..], &1.125f32.to_le_bytes()].concat());
    }
}
