//! A fake of Alibaba Cloud on a loopback port: the wire of EDAS, ALB, NLB, CLB, ESS, ECS and STS, over one small, true
//! world.
//!
//! Promises: what the cloud refuses is refused here, a parameter that an operation does not have is refused and never
//! ignored, and time alone makes a server healthy, drained or gone, and a change order end. Tests build and read the
//! [`World`] directly; what is under test sees only the port. Where no source tells which of two readings is true,
//! [`Settings`] takes either. Time is real but scaled, one second of a setting is [`Settings::second`] milliseconds; or it
//! passes by hand.

mod alb;
mod build;
mod clb;
mod due;
mod ecs;
mod edas;
mod ess;
#[path = "../../aws/fake/faults.rs"]
mod faults;
mod groups;
mod health;
#[expect(dead_code, reason = "the other fake needs all of it")]
#[path = "../../aws/fake/input.rs"]
mod input;
mod jobs;
mod kube;
mod nlb;
#[path = "../../aws/fake/oracle.rs"]
mod oracle;
mod orders;
mod pages;
#[path = "../../aws/fake/port.rs"]
mod port;
mod server;
mod service;
mod settings;
pub mod signature;
mod sts;
mod traffic;
pub mod wire;
mod world;

pub use build::GroupOptions;
pub use faults::{Fault, On};
pub use kube::NODE;
pub use oracle::{Darkness, Oracle};
pub use orders::{Failure, Kind, Pace, Work};
pub use server::{Call, Fake, Outcome};
pub use service::does;
pub use settings::{CrossGroup, Settings};
pub use world::{ACCOUNT, Binding, KEY_ID, REGION, SECRET, SHANGHAI, Session, World};
