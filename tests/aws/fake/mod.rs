//! A fake of AWS on a loopback port: the wire of the services that a rollout speaks to, over one small, true world.
//!
//! Promises: what AWS refuses is refused here, a parameter that is not known is refused and never ignored, and time
//! alone makes a target healthy, drained or gone. Tests build and read the [`World`] directly; what is under test sees
//! only the port. Time is real but scaled: one second of a setting is [`Settings::second`] milliseconds.

mod autoscaling;
mod build;
mod cloudwatch;
mod codedeploy;
mod ec2;
mod elb;
mod engine;
mod faults;
mod fleets;
mod health;
mod iam;
mod input;
mod limits;
mod oracle;
mod port;
mod server;
mod service;
mod signature;
mod sts;
mod targets;
mod world;
mod xml;

pub use build::{CodeDeployOptions, TargetGroupSettings};
pub use faults::{Fault, On};
pub use oracle::{Darkness, Oracle};
pub use server::{Call, Fake, Outcome};
pub use world::{Bucket, Buckets, Settings, World};
