//! What is shown, and where.

use super::context::Context;
use super::error::CliError;
use crate::drive::{Notice, Outcome};
use crate::model::{Inventory, RolloutId, Time};
use crate::plan::{Draft, Refusal};
use crate::rollout::Rollout;
use crate::spec::Spec;
use std::sync::{Arc, Mutex};

#[derive(Clone)]
pub struct Screen {
    last: Arc<Mutex<String>>,
    clock: crate::drive::Clock,
}
impl Screen {
    pub fn new(context: &Context, _spec: &Spec, _now: Time) -> Self {
        Self { last: Arc::default(), clock: context.clock }
    }
    pub fn onlooker(&self) -> impl FnMut(&Rollout, &Notice<'_>) + Send + use<> {
        let this = self.clone();
        move |state, notice| {
            let line = match notice {
                Notice::Recorded(f) => format!(
                    "{} {}",
                    f.event.name(),
                    match &f.event {
                        crate::rollout::Event::Changing { changes, .. } => format!("{changes:?}"),
                        crate::rollout::Event::Settled { faults, .. } => format!("{faults:?}"),
                        _ => String::new(),
                    }
                ),
                Notice::Next(n) => {
                    let t = format!("{n:?}");
                    t.split([' ', '(']).next().unwrap_or("").to_owned()
                }
                n => format!("{n:?}"),
            };
            let line = format!("{} {line}", state.phase().name());
            let Ok(mut last) = this.last.lock() else { return };
            if *last != line {
                eprintln!("{} {line}", this.clock.now().0 % 1000000);
                *last = line;
            }
        }
    }
    pub fn end(&self, state: &Rollout, outcome: &Outcome) {
        println!("{} {outcome:?}", state.plan().rollout);
    }
    pub fn close(&self) {}
}
pub fn plan(_c: &Context, _s: &Spec, draft: &Draft, _l: &Inventory) -> Result<(), CliError> {
    println!("{draft:#?}");
    Ok(())
}
pub fn draft(_c: &Context, _s: &Spec, draft: &Draft, _l: &Inventory) -> Result<(), CliError> {
    eprintln!("{:?}", draft.notes);
    Ok(())
}
pub fn refusal(_c: &Context, _s: &Spec, refusal: &Refusal) -> Result<(), CliError> {
    println!("{refusal:#?}");
    Ok(())
}
pub fn ended(_c: &Context, id: &RolloutId, r: &Rollout) -> Result<(), CliError> {
    println!("{id} {:?}", r.verdict());
    Ok(())
}
pub fn say(_c: &Context, text: &str) {
    eprintln!("{text}");
}
