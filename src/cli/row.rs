//! Several services in one process: one after the other, or at once over the same clients, budgets and journal.
//!
//! Each has a rollout of its own, with its own log, sign of life and orders. What they share is this process, so one stop
//! stops all of them, and each at a safe point.

use std::collections::BTreeSet;
use std::io::{self, IsTerminal as _};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::args::{OnFailure, Output};
use super::context::Context;
use super::error::CliError;
use super::{exit, github, show};
use crate::drive::Stop;
use crate::model::ServiceName;
use crate::report::{self, Board, Line, Snapshot, Standing, Text, Tone};

/// How a row of services is gone through.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// How many at once.
    pub at_once: usize,
    /// What becomes of the others where one does not get what was asked for.
    pub on_failure: OnFailure,
}

/// Where one of several services at once says what it has to say.
pub struct Lane {
    /// What begins each of its lines.
    pub prefix: String,
    /// The picture of all of them, on a terminal.
    pub board: Option<Board>,
    /// Whether all there is to show is one document of all.
    gathers: bool,
    kept: Mutex<Kept>,
}

/// What is told of it when all have ended.
#[derive(Default)]
struct Kept {
    end: Option<Line>,
    document: Option<Value>,
}

/// How one came out; nothing for one that was not begun.
type End = Option<Result<u8, CliError>>;

impl Lane {
    /// Says something above the picture, or with its name before each line.
    pub fn talk(&self, text: &str) {
        let lines: Vec<_> = text.lines().map(|line| format!("{}{line}", self.prefix)).collect();
        self.above(|| eprintln!("{}", lines.join("\n")));
    }

    /// Keeps how a rollout ended for the end of all. Says whether nothing is to be shown of it before.
    pub fn keeps(&self, snapshot: &Snapshot) -> bool {
        let mut kept = self.kept();
        kept.end = Some(report::brief(snapshot));
        kept.document = serde_json::to_value(snapshot).ok();
        self.gathers
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Prints a document in the form that was asked for; one document of all follows at the end.
    pub fn print(&self, context: &Context, text: &Text, document: impl FnOnce() -> String) -> io::Result<()> {
        match context.global.output {
            Output::Text => self.above(|| text.print(&mut github::out(), context.colour_out())),
            Output::Json | Output::Ndjson => {
                let value: Value = serde_json::from_str(&document()).unwrap_or_default();
                let line = report::line(&value);
                self.kept().document = Some(value);
                if context.global.output == Output::Ndjson { show::write(&line) } else { Ok(()) }
            }
        }
    }

    fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.board {
            Some(board) => board.above(write),
            None => write(),
        }
    }
}

/// Does something with every service in its turn, and says how each came out. The exit code is the gravest of all.
///
/// # Errors
/// A service that is named twice for the same time; with one service alone, its own error.
pub async fn row(
    context: &Context,
    services: &[ServiceName],
    manner: Manner,
    one: impl AsyncFn(&Context, &ServiceName) -> Result<u8, CliError>,
) -> Result<u8, CliError> {
    if let [service] = services {
        return one(context, service).await;
    }
    if services.iter().collect::<BTreeSet<_>>().len() < services.len() {
        return Err(CliError::usage("a service is named twice").hint("name each service once"));
    }
    github::several();
    let (asked, stop) = watch::channel(Stop::No);
    let contexts = lanes((context, &stop), services, manner.at_once > 1);
    let ends = all((context, &asked), services, &contexts, manner, one).await;
    if let Some(board) = contexts.first().and_then(|context| context.lane.as_ref()?.board.as_ref()) {
        board.clear();
    }
    // Where nothing failed and some were not begun, a stop was asked for.
    let codes: Vec<_> = ends.iter().map(|end| code(end).unwrap_or(exit::INTERRUPTED)).collect();
    let begun: Vec<_> = ends.iter().filter_map(code).collect();
    let code = match exit::gravest(&begun) {
        exit::DONE => exit::gravest(&codes),
        code => code,
    };
    told(context, services, &contexts, &ends, code)?;
    Ok(code)
}

/// The same world for each, with a place of its own to speak in where several speak at once.
fn lanes(
    (context, stop): (&Context, &watch::Receiver<Stop>),
    services: &[ServiceName],
    several: bool,
) -> Vec<Context> {
    let width = services.iter().map(|service| service.as_str().len()).max().unwrap_or(0);
    let gathers = context.global.output == Output::Json;
    let terminal = several && context.text() && io::stderr().is_terminal();
    let board = terminal.then(|| Board::new(services.iter().map(ToString::to_string), context.colour_err()));
    let lane = |service: &ServiceName| Lane {
        prefix: format!("{service:<width$} | ", service = service.as_str()),
        board: board.clone(),
        gathers,
        kept: Mutex::default(),
    };
    let apart = several || !context.text();
    let one = |service| context.beside(apart.then(|| Arc::new(lane(service))), stop.clone());
    services.iter().map(one).collect()
}

/// Goes through the row. A stop that was asked for, and a failure, end it as far as the manner says.
async fn all(
    (context, asked): (&Context, &watch::Sender<Stop>),
    services: &[ServiceName],
    contexts: &[Context],
    manner: Manner,
    one: impl AsyncFn(&Context, &ServiceName) -> Result<u8, CliError>,
) -> Vec<End> {
    let mut ends: Vec<End> = services.iter().map(|_| None).collect();
    let (mut running, mut next, mut open) = (FuturesUnordered::new(), 0, true);
    let mut stop = context.stop.clone();
    let mut stopped = pin!(async move { stop.wait_for(|stop| *stop == Stop::Asked).await.is_ok() });
    let mut listens = true;
    let stand = |n: usize, standing| {
        let lane = contexts[n].lane.as_ref();
        if let Some(board) = lane.and_then(|lane| lane.board.as_ref()) {
            board.set(services[n].as_str(), standing);
        }
    };
    loop {
        while open && next < services.len() && running.len() < manner.at_once.max(1) {
            stand(next, Standing::Preparing);
            let (n, one) = (next, &one);
            running.push(async move { (n, Box::pin(one(&contexts[n], &services[n])).await) });
            next += 1;
        }
        tokio::select! {
            biased;
            stops = &mut stopped, if listens => {
                listens = false;
                if stops {
                    open = false;
                    asked.send_replace(Stop::Asked);
                }
            }
            end = running.next() => {
                let Some((n, end)) = end else { return ends };
                let well = matches!(end, Ok(exit::DONE));
                stand(n, Standing::Over { well });
                if let (Err(error), Some(lane)) = (&end, &contexts[n].lane) {
                    failed(lane, services[n].as_str(), error);
                }
                ends[n] = Some(end);
                match manner.on_failure {
                    OnFailure::Continue => {}
                    OnFailure::Finish | OnFailure::Stop if well => {}
                    OnFailure::Finish => open = false,
                    OnFailure::Stop => {
                        open = false;
                        asked.send_replace(Stop::Asked);
                    }
                }
            }
        }
    }
}

fn failed(lane: &Lane, service: &str, error: &CliError) {
    github::one_failed(service, error);
    if !error.text.is_empty() {
        lane.talk(&error.to_string());
    }
}

fn code(end: &End) -> Option<u8> {
    match end.as_ref()? {
        Ok(code) => Some(*code),
        Err(error) => Some(error.code),
    }
}

/// Says how each came out: a line a service, or a document of all.
fn told(
    context: &Context,
    services: &[ServiceName],
    contexts: &[Context],
    ends: &[End],
    code: u8,
) -> Result<(), CliError> {
    let all = services.iter().zip(contexts).zip(ends);
    let text = || {
        let lines: Vec<_> = all
            .clone()
            .map(|((service, context), end)| (service.to_string(), line(context.lane.as_deref(), end)))
            .collect();
        report::ends(&lines)
    };
    let written = match context.global.output {
        Output::Text => text().print(&mut github::out(), context.colour_out()),
        Output::Json => {
            let services: Vec<_> =
                all.map(|((service, context), end)| row_of(service, context.lane.as_deref(), end)).collect();
            let document = json!({ "schema": report::SCHEMA, "exit_code": code, "services": services });
            show::write(&report::document(&document))
        }
        Output::Ndjson => {
            let rows = all.map(|((service, _), end)| {
                let mut row = row_of(service, None, end);
                row["schema"] = report::SCHEMA.into();
                row["type"] = "service_end".into();
                report::line(&row)
            });
            show::write(&rows.collect::<String>())
        }
    };
    written.map_err(show::unwritable)
}

fn line(lane: Option<&Lane>, end: &End) -> Line {
    let known = lane.and_then(|lane| lane.kept().end.clone());
    let code = code(end);
    let said = match (end, known) {
        (None, _) => return Line::new().tone(Tone::Faint, "not begun"),
        (Some(Err(error)), _) if !error.text.is_empty() => {
            Line::new().tone(Tone::Bad, "error").say(": ").quote(&error.text)
        }
        (_, Some(known)) => known,
        (Some(_), None) => Line::new().say(github::meaning(code.unwrap_or(exit::ERROR))),
    };
    match code {
        Some(exit::DONE) | None => said,
        Some(code) => said.say(format!("   exit {code}")),
    }
}

fn row_of(service: &ServiceName, lane: Option<&Lane>, end: &End) -> Value {
    let code = code(end);
    let error = match end {
        Some(Err(error)) if !error.text.is_empty() => Some(&error.text),
        Some(_) | None => None,
    };
    let document = lane.and_then(|lane| lane.kept().document.clone());
    json!({
        "service": service,
        "exit_code": code,
        "end": code.map_or("not begun", github::meaning),
        "error": error,
        "document": document,
    })
}
