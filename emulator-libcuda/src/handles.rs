//! Handles: the opaque pointers that a program holds instead of contexts, modules, functions, streams and events. Here each is a
//! number that was never given out before, so that a handle of something destroyed, or of another kind, is noticed.

use crate::failure::{Code, Failure};
use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What the program sees of one.
pub type Handle = *mut c_void;

static NEXT: AtomicUsize = AtomicUsize::new(0x1000);

/// Things of one kind, by handle.
pub struct Handles<T> {
    what: &'static str,
    things: HashMap<usize, T>,
}

impl<T> Handles<T> {
    pub fn of(what: &'static str) -> Handles<T> {
        Handles { what, things: HashMap::new() }
    }

    /// A new handle.
    pub fn add(&mut self, thing: T) -> Handle {
        let number = NEXT.fetch_add(16, Relaxed);
        self.things.insert(number, thing);
        number as Handle
    }

    pub fn get(&mut self, handle: Handle) -> Result<&mut T, Failure> {
        self.things.get_mut(&(handle as usize)).ok_or_else(|| unknown(self.what))
    }

    pub fn remove(&mut self, handle: Handle) -> Result<T, Failure> {
        self.things.remove(&(handle as usize)).ok_or_else(|| unknown(self.what))
    }

    /// The first thing that `wanted` accepts.
    pub fn find(&self, wanted: impl Fn(&T) -> bool) -> Option<Handle> {
        self.things.iter().find(|(_, thing)| wanted(thing)).map(|(number, _)| *number as Handle)
    }

    pub fn retain(&mut self, wanted: impl Fn(&T) -> bool) {
        self.things.retain(|_, thing| wanted(thing));
    }
}

fn unknown(what: &str) -> Failure {
    Failure::new(Code::InvalidHandle, format!("this is no {what}, or one that was destroyed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_is_of_its_kind_and_ends_with_its_thing() {
        let (mut a, mut b) = (Handles::of("stream"), Handles::of("event"));
        let (one, two) = (a.add(1), b.add(2));
        assert_ne!(one, two);
        assert_eq!(*a.get(one).unwrap(), 1);
        assert_eq!(a.get(two).unwrap_err().code, Code::InvalidHandle);
        a.remove(one).unwrap();
        assert!(a.get(one).unwrap_err().message.contains("stream"));
        assert_ne!(a.add(3), one, "handles are never used twice");
    }
}
