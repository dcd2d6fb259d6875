//! A deployment file, read and checked: every fault at once, each pointing at its line.
//!
//! Promises: a [`Spec`] holds no choice that the file left open and no value out of range. Must not read a file, an
//! environment variable or a cloud by itself: text and variables are handed in.

mod settled;

pub use settled::{LocalGroup, LocalSpec, Provider, Spec, Strategy};
