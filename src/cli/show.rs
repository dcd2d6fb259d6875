//! Where reports go: data to stdout, talk to stderr, in the form that was asked for.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, PoisonError};

use super::args::Output;
use super::context::Context;
use super::error::CliError;
use super::github;
use super::row::Lane;
use crate::cloud::Finding;
use crate::drive::{Clock, Notice, Outcome};
use crate::model::{Inventory, RolloutId, ServiceName};
use crate::plan::{Draft, Refusal};
use crate::report::{
    self, Account, Checkup, Form, Hints, Manner, Past, Proposal, RefusalDocument, Text, Timeline,
};
use crate::rollout::{Recorded, Rollout};
use crate::spec::Spec;

/// A running rollout on the terminal, in lines or as JSON; shared between the driver and whoever waits for it.
#[derive(Clone)]
pub struct Screen {
    shown: Arc<Mutex<report::Screen>>,
    clock: Clock,
    hints: Hints,
    lane: Option<Arc<Lane>>,
}

impl Screen {
    /// A screen that recalls what happened before this process came to the rollout.
    pub fn new(context: &Context, service: &ServiceName, timeline: Timeline) -> Self {
        let form = match context.global.output {
            Output::Text if io::stderr().is_terminal() => Form::Terminal,
            Output::Text => Form::Plain,
            Output::Json => Form::Json,
            Output::Ndjson => Form::Ndjson,
        };
        let manner = Manner {
            form,
            colour_out: context.colour_out(),
            colour_err: context.colour_err(),
            hints: hints(context, service),
        };
        let mut screen = report::Screen::new(manner, github::out(), github::err()).recalling(timeline);
        if let Some(lane) = &context.lane {
            screen = screen.among(lane.prefix.clone(), lane.board.as_ref());
        }
        let (hints, lane) = (hints(context, service), context.lane.clone());
        Self { shown: Arc::new(Mutex::new(screen)), clock: context.clock, hints, lane }
    }

    /// What a driver or a follower tells.
    pub fn onlooker(&self) -> impl FnMut(&Rollout, &Notice<'_>) + Send + use<> {
        let this = self.clone();
        move |state, notice| {
            let mut screen = this.shown.lock().unwrap_or_else(PoisonError::into_inner);
            if this.lane.is_none() {
                github::phase(state);
            }
            screen.notice(state, notice, this.clock.now());
        }
    }

    /// Shows the receipt.
    ///
    /// # Errors
    /// What could not be written.
    pub fn end(&self, state: &Rollout, outcome: &Outcome) -> Result<(), CliError> {
        let mut screen = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let closing = screen.closing(state, outcome);
        github::left(&closing, &self.hints);
        match &self.lane {
            Some(lane) if lane.keeps(&closing) => Ok(()),
            Some(_) | None => screen.end(state, outcome).map_err(unwritable),
        }
    }

    /// Leaves a rollout that another process has let go of; there is no receipt.
    pub fn leave(&self, state: &Rollout, outcome: &Outcome) {
        self.close();
        let mut screen = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        let closing = screen.closing(state, outcome);
        github::left(&closing, &self.hints);
        if let Some(lane) = &self.lane {
            lane.keeps(&closing);
        }
    }

    /// Leaves the terminal as it was; there is no receipt.
    pub fn close(&self) {
        github::silent();
        let screen = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bars) = screen.bars() {
            // An error follows; a picture that cannot be cleared is only untidy.
            let _ = bars.clear();
        }
    }
}

/// The commands that a screen names, with whatever options make them right where they are typed.
pub fn hints(context: &Context, service: &ServiceName) -> Hints {
    let global = &context.global;
    let mut options = Vec::new();
    if let Some(environment) = &global.environment {
        options.push(format!("--environment {environment}"));
    }
    let folders = [("--config", &global.config, "deployments"), ("--state", &global.state, ".deployer")];
    for (option, folder, usual) in folders {
        if folder.as_os_str() != usual {
            options.push(format!("{option} {}", folder.display()));
        }
    }
    if let Some(store) = &global.store {
        options.push(format!("--store {store}"));
    }
    let file = context.file(service).display().to_string();
    Hints { service: service.clone(), suffix: options.join(" "), file }
}

/// A plan, as data.
pub fn plan(context: &Context, draft: &Draft, look: &Inventory) -> Result<bool, CliError> {
    let hints = hints(context, &draft.plan.rollout.service);
    let proposal = Proposal::of(draft, look, &hints);
    github::planned(&proposal);
    print(context, &proposal.text(), || report::document(&proposal))?;
    Ok(proposal.changes)
}

/// The remarks on a plan, as talk before it is followed. The plan itself is `deployer plan`'s to show.
pub fn remarks(context: &Context, draft: &Draft) {
    for note in &draft.notes {
        say(context, &format!("note: {note}"));
    }
}

/// A refused plan.
pub fn refusal(context: &Context, service: &ServiceName, refusal: &Refusal) -> Result<(), CliError> {
    let hints = hints(context, service);
    github::refused(refusal, &hints);
    print(context, &report::refused(refusal, &hints), || {
        report::document(&RefusalDocument::of(refusal, &hints))
    })
}

/// How a rollout ended, from its journal.
pub fn ended(context: &Context, id: &RolloutId, facts: &[Recorded]) -> Result<(), CliError> {
    let hints = hints(context, &id.service);
    let snapshot = account(facts)?.snapshot(&hints, context.clock.now(), None);
    github::left(&snapshot, &hints);
    if let Some(lane) = &context.lane {
        lane.keeps(&snapshot);
    }
    print(context, &report::receipt(&snapshot, &hints), || report::document(&snapshot))
}

/// How a rollout stands.
pub fn status(
    context: &Context,
    id: &RolloutId,
    facts: &[Recorded],
    driven: Option<bool>,
) -> Result<(), CliError> {
    let snapshot = account(facts)?.snapshot(&hints(context, &id.service), context.clock.now(), driven);
    print(context, &report::status(&snapshot), || report::document(&snapshot))
}

/// Why a rollout does not go on.
pub fn why(
    context: &Context,
    id: &RolloutId,
    facts: &[Recorded],
    driven: Option<bool>,
) -> Result<(), CliError> {
    let hints = hints(context, &id.service);
    let snapshot = account(facts)?.snapshot(&hints, context.clock.now(), driven);
    print(context, &report::why(&snapshot, &hints), || report::document(&snapshot))
}

/// One rollout, event by event.
pub fn show(
    context: &Context,
    id: &RolloutId,
    facts: &[Recorded],
    driven: Option<bool>,
) -> Result<(), CliError> {
    let hints = hints(context, &id.service);
    let account = account(facts)?;
    let snapshot = account.snapshot(&hints, context.clock.now(), driven);
    let document = || {
        report::document(
            &serde_json::json!({ "schema": report::SCHEMA, "rollout": snapshot, "events": account.told }),
        )
    };
    print(context, &report::show(&account, &snapshot, &hints), document)
}

/// One line of a history.
pub fn past(
    context: &Context,
    id: &RolloutId,
    facts: &[Recorded],
    driven: Option<bool>,
) -> Result<Past, CliError> {
    let snapshot = account(facts)?.snapshot(&hints(context, &id.service), context.clock.now(), driven);
    Ok(Past::from(&snapshot))
}

/// A history, the newest first.
pub fn history(context: &Context, past: &[Past]) -> Result<(), CliError> {
    print(context, &report::history(past), || report::history_json(past))
}

/// What a preflight found.
pub fn checkup(context: &Context, spec: &Spec, findings: &[Finding]) -> Result<bool, CliError> {
    let checkup = Checkup::of(spec.service.as_str(), spec.environment.as_str(), findings);
    let hints = hints(context, &spec.service);
    print(context, &report::checkup(&checkup, &hints), || report::document(&checkup))?;
    Ok(checkup.ready)
}

/// Something that people should know and machines need not.
pub fn say(context: &Context, text: &str) {
    if context.text() {
        talk(context, &report::escape(text));
    }
}

/// The same in any form, of what is escaped already: one of several services says whose it is.
pub fn talk(context: &Context, text: &str) {
    if let Some(lane) = &context.lane {
        lane.talk(text);
    } else {
        eprintln!("{text}");
    }
}

fn account(facts: &[Recorded]) -> Result<Account, CliError> {
    Account::of(facts).map_err(|error| crate::drive::OpenError::OutOfOrder(error).into())
}

fn print(context: &Context, text: &Text, document: impl FnOnce() -> String) -> Result<(), CliError> {
    if let Some(lane) = &context.lane {
        return lane.print(context, text, document).map_err(unwritable);
    }
    let written = match context.global.output {
        Output::Text => text.print(&mut github::out(), context.colour_out()),
        Output::Json | Output::Ndjson => write(&document()),
    };
    written.map_err(unwritable)
}

/// A reader that went away, as in `deployer history api | head -3`, is no error.
pub fn write(text: &str) -> io::Result<()> {
    match github::out().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in `map_err`")]
pub fn unwritable(error: io::Error) -> CliError {
    CliError::new(format!("failed to print: {error}"))
}
