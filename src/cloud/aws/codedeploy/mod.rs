//! What CodeDeploy does for us: it installs bundles, and it makes fleets.

pub(super) mod inplace;
pub(super) mod managed;
