//! Bugs planted around and into the product: into what it sees, what is done for it, what it decides and what it writes.

mod hands;
mod looks;
mod minds;
mod paper;
mod table;

use std::sync::{Arc, Mutex};

use deployer::cloud::sim::SimCloud;
use deployer::cloud::{Backend, Capability, Change, Fault, Scope};
use deployer::coverage::{self, Question, Retirement};
use deployer::drill::Parts;
use deployer::drive::Machine;
use deployer::model::{FleetId, FleetSeen, Inventory, Plan, Scaling, Seen, Span, Time, Token};

pub use paper::{Flaw, Loose};
pub use table::mutants;

/// One planted bug.
pub struct Mutant {
    pub name: &'static str,
    /// Any of these invariants shows it.
    pub shows: &'static [&'static str],
    pub lie: Lie,
    pub machine: Machine,
    pub plan: fn(&mut Plan),
    pub nonce: fn(u64, u32) -> String,
    pub flaw: Option<Flaw>,
}

/// What is between the driver and its cloud.
#[derive(Clone, Copy)]
pub struct Lie {
    /// What becomes of an answered look.
    pub look: fn(&mut Memory, &mut Inventory),
    /// What is done instead of a change; nothing is answered well.
    pub change: fn(&mut Memory, &Change) -> Vec<Change>,
    /// Who goes instead of a fleet; nobody is answered well.
    pub retire: fn(&mut Memory, &FleetId) -> Option<FleetId>,
}

/// What a lie has to remember to be told twice.
pub struct Memory {
    pub plan: Plan,
    pub kept: Vec<Change>,
    pub last: Option<Inventory>,
    pub groups: std::collections::BTreeSet<deployer::model::GroupId>,
    pub gone: Option<FleetId>,
}

impl Mutant {
    /// The product as it is, under a mutant's name.
    pub fn new(name: &'static str, shows: &'static [&'static str]) -> Self {
        Self {
            name,
            shows,
            lie: Lie {
                look: |_, _| (),
                change: |_, change| vec![change.clone()],
                retire: |_, fleet| Some(fleet.clone()),
            },
            machine: Machine::default(),
            plan: |_| (),
            nonce: |seed, driver| format!("{seed}-{driver}"),
            flaw: None,
        }
    }

    pub fn parts(&self, plan: &Plan) -> Parts<Liar, Loose> {
        let memory = Memory {
            plan: plan.clone(),
            kept: Vec::new(),
            last: None,
            groups: std::collections::BTreeSet::new(),
            gone: None,
        };
        let (memory, lie, flaw) = (Arc::new(Mutex::new(memory)), self.lie, self.flaw);
        let mut parts = Parts::with(
            move |cloud| Liar { cloud, lie, memory: Arc::clone(&memory) },
            move |store| Loose::new(store, flaw),
        );
        parts.machine = self.machine;
        parts.plan = self.plan;
        parts.nonce = self.nonce;
        parts
    }
}

/// A door to the cloud with a lie in it.
pub struct Liar {
    cloud: SimCloud,
    lie: Lie,
    memory: Arc<Mutex<Memory>>,
}

impl Backend for Liar {
    async fn look(&self, scope: &Scope) -> Result<Inventory, Fault> {
        let mut seen = self.cloud.look(scope).await?;
        (self.lie.look)(&mut self.memory.lock().unwrap(), &mut seen);
        Ok(seen)
    }

    async fn change(&self, change: &Change, token: &Token) -> Result<(), Fault> {
        let instead = (self.lie.change)(&mut self.memory.lock().unwrap(), change);
        for change in instead {
            self.cloud.change(&change, token).await?;
        }
        Ok(())
    }

    async fn retire(&self, proof: Retirement, token: &Token) -> Result<(), Fault> {
        let instead = (self.lie.retire)(&mut self.memory.lock().unwrap(), proof.fleet());
        match instead {
            Some(fleet) if fleet == *proof.fleet() => self.cloud.retire(proof, token).await,
            Some(fleet) => self.cloud.retire(forged(&fleet), token).await,
            None => Ok(()),
        }
    }

    fn capability(&self) -> Capability {
        self.cloud.capability()
    }
}

/// A proof that rests on a look at a world in which nothing but the fleet exists.
pub fn forged(fleet: &FleetId) -> Retirement {
    let seen = FleetSeen {
        revision: crate::common::new(),
        desired: 0,
        instances: std::collections::BTreeMap::new(),
        scaling: Scaling::Fixed,
        attached: std::collections::BTreeSet::new(),
        failed: None,
    };
    let look = Inventory { fleets: [(fleet.clone(), Seen::Known(seen))].into(), ..Inventory::default() };
    let question = Question {
        leaving: fleet,
        staying: fleet,
        required: &std::collections::BTreeSet::new(),
        healthy_min: 1,
        waivers: &[],
        look: &look,
        not_before: Time(0),
        fresh: Span::secs(1),
        now: Time(0),
    };
    coverage::prove_idle(&question).unwrap()
}
