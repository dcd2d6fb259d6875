//! AWS behind the port: Auto Scaling, ELBv2 and CodeDeploy.
//!
//! Promises: a look follows every page to the last token, and what was denied, throttled to the end or cut short is
//! unknown in it, never absent; listeners and rules are changed as a whole, read again before and after; only what we
//! changed is put back. Must not trust a list that somebody typed: a fleet stands where its instances are registered.

mod alarms;
mod api;
mod arn;
mod asgs;
mod backend;
mod belongings;
mod cloudwatch;
mod commons;
mod codedeploy;
mod copy;
mod detach;
pub mod doctor;
mod ec2;
mod fault;
mod fleet;
mod freeze;
mod handover;
mod health;
mod iam;
pub mod init;
mod limit;
mod look;
mod memory;
mod pair;
pub mod policy;
mod query;
mod reader;
mod route;
mod survey;
mod template;
mod traffic;
mod twin;
mod whole;

pub use backend::AwsBackend;
