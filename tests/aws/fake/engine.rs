//! Deployments.
use super::world::World;
#[derive(Debug, Clone)]
pub struct Deployment {}
impl World {
    pub fn settle_deployments(&mut self) {}
}
