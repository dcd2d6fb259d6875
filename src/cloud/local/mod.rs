//! One host as a cloud: fleets of processes behind a proxy of our own.
//!
//! A *supervisor* (this binary, detached, one per state directory) holds the processes and serves the target groups; it is
//! started by the first call that needs it and survives its caller. If it dies, the processes go on, and the next call
//! starts another, which adopts them and serves the same groups with the same shares.
//!
//! An instance keeps its name (`api-v2-1`) when its process is started again; the process, its port, and so its target
//! are new, and judged anew. Instances go on without a supervisor; a supervisor whose state directory was removed can be
//! reached by nobody, and ends what it holds.
//!
//! Promises: a request never goes to a target that is not healthy, or that is draining; a group without a healthy
//! target answers 503. An answer to a change is given only after the change is on disk. Must not run a shell, listen
//! anywhere but where a group says, or hand the caller's environment to an instance.

#[cfg(unix)]
mod balance;
#[cfg(unix)]
mod client;
#[cfg(unix)]
mod doctor;
#[cfg(not(unix))]
mod elsewhere;
#[cfg(unix)]
mod fault;
#[cfg(unix)]
mod group;
#[cfg(unix)]
mod headers;
#[cfg(unix)]
mod health;
#[cfg(unix)]
mod host;
#[cfg(unix)]
mod instance;
#[cfg(unix)]
mod logs;
#[cfg(unix)]
mod look;
#[cfg(unix)]
mod paths;
#[cfg(unix)]
mod process;
#[cfg(unix)]
mod protocol;
#[cfg(unix)]
mod proxy;
#[cfg(unix)]
mod sample;
#[cfg(unix)]
mod state;
mod status;
#[cfg(unix)]
mod supervisor;
#[cfg(unix)]
mod target;
#[cfg(unix)]
mod upstream;
#[cfg(unix)]
mod world;

#[cfg(unix)]
pub use client::LocalBackend;
#[cfg(not(unix))]
pub use elsewhere::{LocalBackend, examine, logs, sample, status, stop, supervise};
pub use status::{FleetStatus, GroupStatus, InstanceStatus, LocalStatus};
#[cfg(unix)]
pub use {
    doctor::examine,
    host::{logs, status, stop},
    sample::sample,
    supervisor::supervise,
};
