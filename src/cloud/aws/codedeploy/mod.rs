//! What CodeDeploy does for us: it installs bundles, and it makes fleets.

pub(super) mod managed;
