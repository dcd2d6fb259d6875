//! AWS as it is spoken on the wire: the fake that tests stand on, and what is tested on it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]
#![expect(clippy::disallowed_methods, reason = "what is waited for and measured here happens in real time")]

mod alarms;
mod desk;
mod doctor;
mod codedeploy;
mod crashes;
mod codedeploy_in_place;
mod fake;
mod faults;
mod fake_itself;
mod incident;
mod init;
mod policy;
mod job;
mod lanes;
mod many;
mod rig;
mod fleets;
mod whole;
mod world;
