//! The way to Alibaba Cloud's interfaces: credentials, endpoints, signatures, limits, and one place through which every
//! call goes.
//!
//! Promises: an answer is whole and says yes, or it is a fault; a write without a token is never sent again after an end
//! that leaves open whether it was applied; no secret is in any output. Must not know what an operation means.

mod attempts;
mod call;
mod credentials;
mod endpoint;
mod fault;
mod keys_file;
mod limit;
mod oidc;
mod profile;
mod reply;
mod send;
mod sign;
mod turns;

#[cfg(test)]
mod profile_tests;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;

pub(in crate::cloud::edas) use call::{Call, Method, Product};
pub(in crate::cloud::edas) use credentials::Session;
pub use endpoint::Over;
pub use keys_file::KeysFile;
pub use oidc::Oidc;
pub use profile::Profile;
pub(in crate::cloud::edas) use send::Client;
