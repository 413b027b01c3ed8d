//! Planted bugs: wrong variants of right code, compiled in behind the feature `planted` and chosen at run time by name.
//!
//! A check that has never failed proves little. Each planted bug is a mistake somebody could make, and one of the checks is
//! named as the one that must find it. Without the feature [`planted!`](crate::planted!) is its first expression and
//! nothing else; with it, the environment variable `NANOCHAT_PLANTED` names the one bug that is switched on.
//! Read next: `cargo xtask help mutants`.

#[cfg(feature = "planted")]
use std::sync::OnceLock;

/// One place in the code.
pub struct Site {
    #[cfg(feature = "planted")]
    id: &'static str,
    #[cfg(feature = "planted")]
    on: OnceLock<bool>,
}

impl Site {
    /// The place of the bug called `id`.
    pub const fn new(id: &'static str) -> Site {
        #[cfg(not(feature = "planted"))]
        let _ = id;
        Site {
            #[cfg(feature = "planted")]
            id,
            #[cfg(feature = "planted")]
            on: OnceLock::new(),
        }
    }
    /// Is this the bug that was chosen?
    #[cfg(feature = "planted")]
    pub fn is_on(&self) -> bool {
        *self.on.get_or_init(|| std::env::var("NANOCHAT_PLANTED").is_ok_and(|chosen| chosen == self.id))
    }
    /// Is this the bug that was chosen? Never, in this build.
    #[cfg(not(feature = "planted"))]
    #[inline(always)]
    pub const fn is_on(&self) -> bool {
        false
    }
}

/// `planted!("op.mistake", right => wrong)`: `right`, unless that bug was chosen in a build with the feature `planted`.
#[macro_export]
macro_rules! planted {
    ($id:literal, $right:expr => $wrong:expr) => {{
        static SITE: $crate::planted::Site = $crate::planted::Site::new($id);
        if SITE.is_on() { $wrong } else { $right }
    }};
}
