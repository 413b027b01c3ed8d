//! The commands, one file each: its options, and `run`.

pub mod bench;
pub mod chat;
pub mod data;
pub mod demo;
pub mod doctor;
pub mod emulate;
pub mod eval;
pub mod parity;
pub mod plan;
pub mod report;
pub mod selftest;
pub mod serve;
pub mod shared;
pub mod speedrun;
pub mod tok;
pub mod trace;
pub mod train;
pub mod watch;
