//! The few EC2 calls, by hand.
//!
//! AWS's own crate for EC2 alone triples the build and takes 8 GB of memory (measured 2026-11-22), for five calls.
//! Promises: every page is followed; ids that exist no more are absent from the answer and no error; what cannot be
//! read is a fault, never an empty set.

mod calls;
mod things;
mod wire;

#[cfg(test)]
mod tests;

pub(super) use calls::{EC2, Ec2};
pub(super) use things::{Instance, Subnet, TemplateVersion};
