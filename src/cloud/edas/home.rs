//! Where a service lives on Alibaba Cloud.

use crate::model::{FleetId, ServiceName};
use crate::spec::EdasSpec;

/// One service as its deployment file describes it.
#[derive(Debug)]
pub(super) struct Home {
    /// The service.
    pub service: ServiceName,
    /// What the file says.
    pub spec: EdasSpec,
}

impl Home {
    /// Whether the fleet is one of the two that alternate.
    pub fn is_ours(&self, fleet: &FleetId) -> bool {
        self.spec.pair.iter().any(|name| name == fleet.as_str())
    }
}
