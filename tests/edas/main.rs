//! Alibaba Cloud as it is spoken on the wire: the fake that tests stand on, and what is tested on it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop, and say where")]
#![expect(clippy::disallowed_methods, reason = "what is waited for and measured here happens in real time")]

mod caller;
mod cost;
mod crashes;
mod desk;
mod doctor;
mod failed_jobs;
mod fake;
mod fake_itself;
mod faults;
mod first_look;
mod fleets;
mod hosts;
mod incident;
mod init;
mod job;
mod kube;
mod kube_crashes;
mod kube_desk;
mod kube_swaps;
mod lanes;
mod last_look;
mod many;
mod official;
mod orders;
mod plans;
mod policy;
mod regions;
mod rig;
mod scaling;
mod swaps;
mod urgent;
mod weights;
mod whole;
mod wide;
