//! How fast time runs, and which of two readings of the documentation is true.

use std::collections::BTreeMap;

use super::world::{Ms, REGION};

/// What a list of servers says that is asked for by servers alone, over all groups: no source tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossGroup {
    Works,
    Refused,
    Empty,
}

/// How fast time runs, how the answers are cut and spelt, and which reading of an unclear page is true.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The region of which it tells; of any other it knows nothing.
    pub region: &'static str,
    /// Time passes only by [`super::Fake::pass`].
    pub by_hand: bool,
    /// Milliseconds that one stage of a change order takes.
    pub step: Ms,
    /// Milliseconds of an asynchronous job, and for which what it changes is `Configuring`.
    pub job: Ms,
    /// Milliseconds for which a CLB answers `OperationBusy` after a write.
    pub busy: Ms,
    /// Milliseconds from the purchase of an instance until it runs.
    pub launch: Ms,
    /// Milliseconds from the first check of a server until it is judged, and from a change until it shows.
    pub health_after: Ms,
    /// Milliseconds for one second of a setting: a drain, the wait between two batches.
    pub second: f64,
    /// Milliseconds until a write is seen by reads.
    pub lag: Ms,
    /// The largest page of any listing.
    pub page: Option<usize>,
    /// Replies of `GetApplication` say `Applcation`, as older gateways do.
    pub misspelt: bool,
    /// EDAS writes its `Code` as text.
    pub code_as_text: bool,
    pub cross_group: CrossGroup,
    /// Whether a group of weight 0 in a rule is checked.
    pub checks_weightless_tuples: bool,
    /// Whether a CLB checks servers of weight 0.
    pub clb_checks_weightless: bool,
    /// Whether whoever comes into a group without a package gets the application's newest.
    pub newest_for_empty_groups: bool,
    /// Whether a deploy group names the new package before its instances have it.
    pub group_package_first: bool,
    /// Whether a server passes its checks only if a security group of its instance lets somebody in at its port.
    pub security_groups: bool,
    /// Whether what EDAS buys belongs to a scaling group of its own.
    pub bought_through_ess: bool,
    /// Milliseconds until the controller of a cluster has put a new pod where its Service says.
    pub controller: Ms,
    /// Whether a deployment of an image also says how many pods there are to be.
    pub deploys_replicas: bool,
    /// Calls of an operation per minute of this host, by operation.
    pub per_minute: BTreeMap<&'static str, usize>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            region: REGION,
            by_hand: false,
            step: 5,
            job: 5,
            busy: 2,
            launch: 20,
            health_after: 20,
            second: 1.0,
            lag: 0,
            page: None,
            misspelt: false,
            code_as_text: false,
            cross_group: CrossGroup::Works,
            checks_weightless_tuples: false,
            clb_checks_weightless: false,
            newest_for_empty_groups: true,
            group_package_first: false,
            security_groups: false,
            bought_through_ess: false,
            controller: 15,
            deploys_replicas: true,
            per_minute: BTreeMap::new(),
        }
    }
}
