//! Alibaba Cloud behind the port: EDAS on ECS instances and on Kubernetes, ALB, NLB, CLB and Auto Scaling.
//!
//! Promises: a look follows every page to the last token, and what was denied, throttled to the end or cut short is
//! unknown in it, never absent; an answer that says no in its body is a fault, whatever its status; only what we changed
//! is put back. Must not trust a list that somebody typed: a fleet stands where its instances are registered.

mod api;
mod backend;
mod classic;
mod client;
mod drained;
mod fleets;
mod freeze;
mod health;
mod hold;
mod home;
mod hosts;
mod interfaces;
mod kube;
mod leave;
mod look;
mod members;
mod memory;
mod orders;
mod patience;
mod pools;
mod preview;
mod route;
mod servers;
mod settings;
mod shift;
mod spared;
mod survey;
mod swap;
mod traffic;
mod twin;
mod weight_note;
mod weights;

pub mod doctor;
pub mod init;
pub mod policy;

pub use backend::EdasBackend;
pub use client::{KeysFile, Oidc, Over, Profile};
