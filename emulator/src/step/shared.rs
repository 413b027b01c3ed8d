//! What an instruction changed in the block's shared memory, as text.

use super::{View, shown};
use std::fmt::Write;

/// The block's shared memory as it was after the instruction before.
#[derive(Default)]
pub(super) struct SharedBefore(Vec<u8>);

/// What memory is filled with before a block begins.
const FRESH: u8 = 0xcd;

impl SharedBefore {
    /// Words that differ from what was there, the first of them by value; nothing where none does.
    pub fn changes(&mut self, now: &[u8], view: View, most: usize) -> Option<String> {
        self.0.resize(now.len(), FRESH);
        let (old, new) = (self.0.as_chunks::<4>().0, now.as_chunks::<4>().0);
        let mut changed = (0..new.len()).filter(|&i| old[i] != new[i]);
        let first: Vec<usize> = changed.by_ref().take(most).collect();
        let more = changed.count();
        let mut text = String::new();
        for at in &first {
            let value = shown(view, u32::from_le_bytes(new[*at]).into());
            let _ = write!(text, " [{:#x}] {value}", 4 * at);
        }
        if more > 0 {
            let _ = write!(text, " and {more} more words");
        }
        self.0.copy_from_slice(now);
        (!first.is_empty()).then_some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let mut before = SharedBefore::default();
        let mut now = vec![FRESH; 16];
        assert_eq!(before.changes(&now, View::F32, 2), None);
        now[4..8].copy_from_slice(&1.5_f32.to_le_bytes());
        now[8..12].copy_from_slice(&2.0_f32.to_le_bytes());
        now[12..16].copy_from_slice(&3.0_f32.to_le_bytes());
        assert_eq!(before.changes(&now, View::F32, 2).unwrap(), " [0x4] 1.5 [0x8] 2 and 1 more words");
        assert_eq!(before.changes(&now, View::F32, 2), None);
    }
}
