//! Who is registered in a group.

use super::service::ApiError;
use super::world::{Target, Verdict, World};

impl World {
    /// Registers an instance; one that is draining comes back.
    pub fn register(&mut self, group: &str, id: &str, port: Option<u16>) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let port = port.unwrap_or(group.port);
        let fresh =
            Target { id: id.to_owned(), port, verdict: Verdict::Unused, turning: None, draining: None };
        match group.targets.iter_mut().find(|target| target.id == id && target.port == port) {
            Some(target) if target.draining.is_some() => *target = fresh,
            Some(_) => {}
            None => group.targets.push(fresh),
        }
    }

    /// Deregisters an instance; who was served there drains first.
    pub fn deregister(&mut self, group: &str, id: &str, port: Option<u16>) {
        let now = self.now;
        let Some(group) = self.groups.get_mut(group) else { return };
        let port = port.unwrap_or(group.port);
        let unused = |target: &Target| matches!(target.verdict, Verdict::Unused | Verdict::Invalid);
        group.targets.retain(|target| {
            target.id != id || target.port != port || target.draining.is_some() || !unused(target)
        });
        for target in group.targets.iter_mut().filter(|target| target.id == id && target.port == port) {
            target.draining.get_or_insert(now);
        }
    }

    /// Whether an instance stands in a group, draining or not, at any port.
    pub fn stands(&self, group: &str, id: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.targets.iter().any(|target| target.id == id))
    }

    /// An instance that may be registered.
    pub fn registrable(&self, id: &str) -> Result<(), ApiError> {
        let running = self.instances.get(id).is_some_and(|instance| instance.state == "running");
        let refusal = format!("The following targets are not in a running state or do not exist: '{id}'");
        running.then_some(()).ok_or_else(|| ApiError::new("InvalidTarget", refusal))
    }
}
