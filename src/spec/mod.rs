//! A deployment file, read and checked: every fault at once, each pointing at its line.
//!
//! Promises: a [`Spec`] holds no choice that the file left open and no value out of range; no text, however hostile,
//! makes the room panic, recurse deeply or grow without limit; the value of a variable is never in an error. Must not
//! read a file, an environment variable or a cloud by itself: text and variables are handed in.
//!
//! The way through: text → `node` (a tree with places) → `reader` (checks it against `table`) → `layer`, `strategy`,
//! `local`, `aws`, `edas` (what was said) → `file` (what that makes) → [`Spec`]. `table` knows every key; `schema` is made from it.

mod aws;
mod edas;
mod fault;
mod file;
mod home;
mod layer;
mod local;
mod node;
mod reader;
mod schema;
mod settled;
mod settled_aws;
mod settled_edas;
mod strategy;
mod table;
mod table_aws;
mod table_edas;
mod variable;

pub use fault::{FAULTS_MAX, Fault, Faults};
pub use file::{Ask, Source, environment, read, store, validate};
pub use node::{DEPTH_MAX, NODES_MAX, TEXT_MAX};
pub use schema::schema;
pub use settled::{LocalGroup, LocalSpec, Provider, Spec, Strategy};
pub use settled_aws::{AwsFleets, AwsGroup, AwsRevision, AwsSpec, Bundle, CodeDeploy};
pub use settled_edas::{
    DeployGroups, EdasFleets, EdasGroup, EdasServers, EdasSpec, Hosts, Kubernetes, ShareBy,
};
pub use variable::{Variables, any_value};
