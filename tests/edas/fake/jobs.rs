//! Asynchronous jobs of ALB and NLB.

use super::world::{Ms, World};

#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    pub api: String,
    pub kind: &'static str,
    pub resource: String,
    pub created: Ms,
    pub ends: Ms,
    /// Why it will fail.
    pub error: Option<String>,
}

impl Job {
    pub fn status(&self, now: Ms) -> &'static str {
        match &self.error {
            _ if now < self.ends => "Processing",
            Some(_) => "Failed",
            None => "Succeeded",
        }
    }
}

impl World {
    /// A job begins: its identity, when it ends, and whether what it does will come about.
    pub fn job(&mut self, api: &str, kind: &'static str, resource: &str) -> (String, Ms, bool) {
        let planned = self.failing_jobs.iter().position(|(of, _)| of == api);
        let error = planned.map(|at| self.failing_jobs.remove(at).1);
        let (id, created) = (self.uuid(), self.now);
        let ends = created + self.settings.job;
        let succeeds = error.is_none();
        let (api, resource) = (api.to_owned(), resource.to_owned());
        self.jobs.push(Job { id: id.clone(), api, kind, resource, created, ends, error });
        (id, ends, succeeds)
    }
}
