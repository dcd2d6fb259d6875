//! AWS's Query protocol by hand, for services of which a few calls are needed: a form, signed by AWS's own signer, and XML.
//!
//! A crate of AWS's for each of them would cost minutes of building and gigabytes of memory for a handful of calls.
//! Promises: credentials, region and endpoint are those of the SDK; what cannot be read is a fault, never an empty
//! answer; a call is repeated only where that changes nothing.

mod answer;
mod client;
mod sign;
mod tree;

#[cfg(test)]
pub(super) use answer::read;
pub(super) use client::{Form, Query, Service, Wire};
pub(super) use tree::Tree;
#[cfg(test)]
pub(super) use tree::read as read_tree;
