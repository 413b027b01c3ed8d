//! The last launches. A GPU runs behind the program: a kernel's fault is told by some later call, often the copy that waits for the
//! result. So an error names the launches before it, the newest first: the fault is in one of them.

use crate::driver::Launch;
use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

/// More than a layer's backward pass launches between two copies that small models make.
const KEPT: usize = 12;

/// What was launched, the newest at the end.
#[derive(Default)]
pub struct Trail(Mutex<VecDeque<(&'static str, String, u32, u32)>>);

impl Trail {
    /// Adds a launch.
    pub fn add(&self, op: &'static str, kernel: &str, grid: u32, block: u32) {
        let mut past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // the oldest one's text is used again: nothing is allocated here after a few launches
        let mut text =
            if past.len() < KEPT { None } else { past.pop_front() }.map_or_else(String::new, |old| old.1);
        text.clear();
        text.push_str(kernel);
        past.push_back((op, text, grid, block));
    }
    /// Adds a kernel's launch.
    pub fn add_launch(&self, launch: &Launch<'_>) {
        self.add(launch.op, launch.kernel, launch.grid, launch.block);
    }
    /// All that is kept, the newest first, as part of a sentence.
    pub fn recent(&self) -> String {
        let past = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (op, kernel, grid, block) in past.iter().rev() {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{kernel} of {op} ({grid} × {block})");
        }
        if text.is_empty() { "none".into() } else { text }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_launches_are_kept_and_named_first() {
        let trail = Trail::default();
        assert_eq!(trail.recent(), "none");
        (0..KEPT as u32 + 3).for_each(|i| trail.add("rms_norm", &format!("k{i}"), i, 256));
        let text = trail.recent();
        assert!(text.starts_with("k14 of rms_norm (14 × 256), k13 of"), "{text}");
        assert!(text.ends_with("k3 of rms_norm (3 × 256)") && text.matches(" of ").count() == KEPT, "{text}");
    }
}
