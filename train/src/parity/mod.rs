//! Comparison with reference dumps.
