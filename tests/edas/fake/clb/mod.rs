//! CLB (SLB) 2014-05-15: no weighted groups, weights by server, and calls that take effect at once.

mod balancers;
mod groups;
mod health;
mod listeners;
pub mod pairs;
mod rules;

pub use listeners::scheduler;

use super::service::{ApiError, Operation, missing};
use super::world::{Balancer, Family, Group, World};

pub const OPERATIONS: &[&[Operation]] = &[
    balancers::OPERATIONS,
    groups::OPERATIONS,
    health::OPERATIONS,
    listeners::OPERATIONS,
    pairs::OPERATIONS,
    rules::OPERATIONS,
];

/// The default server group of a CLB.
pub fn default_group(balancer: &str) -> String {
    format!("{balancer}/default")
}

/// Marks a group that is deleted and that the lists still name.
const GONE: &str = "fake:gone";

impl World {
    /// A group of a CLB is deleted, and the lists go on naming it, and CLB those who stand in it: who asks for the group
    /// itself hears that it does not exist.
    pub fn delete_behind_the_list(&mut self, group: &str) {
        if let Some(group) = self.groups.get_mut(group) {
            group.tags.insert(GONE.to_owned(), String::new());
        }
    }
}

fn is_gone(group: &Group) -> bool {
    group.tags.contains_key(GONE)
}

fn balancer<'a>(world: &'a World, id: &str) -> Result<&'a Balancer, ApiError> {
    let found = world.balancer(id).filter(|balancer| balancer.family == Family::Clb);
    found.ok_or_else(|| missing("InvalidLoadBalancerId.NotFound", id))
}

/// A CLB takes one change at a time.
fn occupy(world: &mut World, id: &str) -> Result<(), ApiError> {
    if world.now < balancer(world, id)?.busy_until {
        return Err(ApiError::new("OperationBusy", "The specified load balancer is being configured."));
    }
    let until = world.now + world.settings.busy;
    for balancer in world.balancers.iter_mut().filter(|balancer| balancer.id == id) {
        balancer.busy_until = until;
    }
    Ok(())
}
