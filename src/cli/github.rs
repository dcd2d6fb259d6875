//! The command as a step of GitHub Actions: outputs, summary, annotations, and a log that obeys nobody else.
//!
//! On by itself where `GITHUB_ACTIONS` is `true`. What it writes depends on nothing but what every other report shows,
//! and no failure to write it changes how a rollout ends.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use super::args::{Github, Global, Output, Verb};
use super::error::CliError;
use super::exit;
use crate::model::{GroupId, RolloutId};
use crate::plan::{Refusal, Refused};
use crate::report::github::{
    GuardManner, Guarded, Level, Outputs, Place, annotate, command, file, guarded, summary,
};
use crate::report::{Hints, Proposal, Snapshot};
use crate::rollout::Rollout;
use crate::spec::Faults;

/// GitHub shows ten annotations of a kind for a step.
const ANNOTATIONS_MAX: usize = 10;
/// The longest summary of a step that GitHub takes.
const STEP_SUMMARY_MAX: u64 = 1 << 20;

/// The step that this process is.
struct Job {
    /// Whether the verb leaves outputs and a summary.
    reports: bool,
    /// Whether the log may have groups: only where it is for people.
    text: bool,
    workspace: Option<PathBuf>,
    record: Mutex<Record>,
}

#[derive(Default)]
struct Record {
    outputs: Outputs,
    summary: String,
    said: String,
    level: Option<Level>,
    file: Option<String>,
    phase: Option<&'static str>,
    /// Whether it is about several services, none of which the outputs can speak for.
    several: bool,
    ended: bool,
}

static JOB: OnceLock<Job> = OnceLock::new();

/// Finds out whether this process is a step of GitHub Actions.
pub fn begin(global: &Global, verb: &Verb) {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| value == "true");
    if global.github == Github::Off || !set("GITHUB_ACTIONS") {
        return;
    }
    let reports = matches!(
        verb,
        Verb::Rollout(_)
            | Verb::Plan(_)
            | Verb::Resume(_)
            | Verb::Rollback(_)
            | Verb::Promote(_)
            | Verb::Abort(_)
    );
    let job = Job {
        reports,
        text: global.output == Output::Text,
        workspace: std::env::var_os("GITHUB_WORKSPACE").map(PathBuf::from),
        record: Mutex::default(),
    };
    // A process has one verb and comes here once.
    let _ = JOB.set(job);
}

fn job() -> Option<(&'static Job, MutexGuard<'static, Record>)> {
    let job = JOB.get().filter(|job| job.reports)?;
    Some((job, job.record.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// A line on its way to the log, in which the runner finds no command.
pub fn safe(text: String) -> String {
    if JOB.get().is_some() { guarded(&text, GuardManner::Text) } else { text }
}

/// The same for data.
pub fn safe_data(text: String) -> String {
    match JOB.get() {
        Some(job) => guarded(&text, manner(job)),
        None => text,
    }
}

fn manner(job: &Job) -> GuardManner {
    if job.text { GuardManner::Text } else { GuardManner::Json }
}

/// Where data goes.
pub fn out() -> Box<dyn Write + Send> {
    match JOB.get() {
        Some(job) => Box::new(Guarded::new(io::stdout(), manner(job))),
        None => Box::new(io::stdout()),
    }
}

/// Where talk goes.
pub fn err() -> Box<dyn Write + Send> {
    match JOB.get() {
        Some(_) => Box::new(Guarded::new(io::stderr(), GuardManner::Text)),
        None => Box::new(io::stderr()),
    }
}

/// The one way for a workflow command: past the guard. A log that nobody reads is no reason to fail.
fn tell(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// It is about several services: each has its part of the summary, and the outputs tell only how all of it ended.
pub fn several() {
    if let Some((_, mut record)) = job() {
        record.several = true;
    }
}

/// One of several services ended with an error.
pub fn one_failed(service: &str, error: &CliError) {
    let Some((_, mut record)) = job() else { return };
    if !error.text.is_empty() {
        let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let (title, said) = (format!("{service}: {}", meaning(error.code)), format!("{}{hint}", error.text));
        tell(&annotate(Level::Error, Place::default(), &title, &said));
        record.summary += &summary::error(&title, &said);
    }
}

/// A rollout has begun, or is taken up.
pub fn began(id: &RolloutId) {
    if let Some((_, mut record)) = job()
        && !record.several
    {
        record.outputs = Outputs { rollout_id: id.to_string(), ..Outputs::default() };
    }
}

/// A rollout is in a phase: its lines belong together.
pub fn phase(state: &Rollout) {
    let Some((job, mut record)) = job() else { return };
    let phase = state.phase().name();
    if !job.text || record.phase == Some(phase) {
        return;
    }
    close_group(&mut record);
    if state.verdict().is_none() {
        tell(&command("group", &[], &format!("{}: {phase}", state.plan().rollout)));
        record.phase = Some(phase);
    }
}

fn close_group(record: &mut Record) {
    if record.phase.take().is_some() {
        tell("::endgroup::");
    }
}

/// The lines of a phase are over.
pub fn silent() {
    if let Some((_, mut record)) = job() {
        close_group(&mut record);
    }
}

/// A rollout ended, or is left as it stands.
pub fn left(snapshot: &Snapshot, hints: &Hints) {
    let Some((job, mut record)) = job() else { return };
    close_group(&mut record);
    if !record.several {
        record.outputs = Outputs::of(snapshot);
    }
    record.summary += &summary::rollout(snapshot);
    record.said = summary::sentences(snapshot);
    record.level = Some(summary::level(snapshot));
    record.file = Some(place(job, &hints.file));
    for waiver in snapshot.waivers.iter().take(ANNOTATIONS_MAX) {
        let title = format!("Target group {} is waived by {}", waiver.group, waiver.by);
        tell(&annotate(Level::Warning, Place::default(), &title, &waiver.reason));
    }
}

/// A plan was made.
pub fn planned(proposal: &Proposal) {
    let Some((_, mut record)) = job() else { return };
    record.outputs = Outputs::of_plan(proposal);
    record.summary += &summary::plan(proposal);
}

/// A plan was refused.
pub fn refused(refusal: &Refusal, hints: &Hints) {
    let Some((job, mut record)) = job() else { return };
    if !record.several {
        record.outputs = Outputs::of_refusal(refusal);
    }
    record.summary += &summary::refusal(refusal, hints);
    let file = place(job, &hints.file);
    let text = std::fs::read_to_string(Path::new(&hints.file)).unwrap_or_default();
    for reason in refusal.reasons.iter().take(ANNOTATIONS_MAX) {
        let title = match reason {
            Refused::Undeclared { group, .. } | Refused::Dropped { group } => {
                format!("Target group missing on green: {group}")
            }
            Refused::Unseen { .. }
            | Refused::Unknown { .. }
            | Refused::Unread { .. }
            | Refused::TwoBlues { .. }
            | Refused::Stranger { .. }
            | Refused::NoStrategy { .. }
            | Refused::NoSuchGroup { .. }
            | Refused::Weightless { .. }
            | Refused::Unproved { .. }
            | Refused::Whole { .. }
            | Refused::NoName { .. } => "The rollout is refused".to_owned(),
        };
        let line = declared(reason).and_then(|group| group_line(&text, group)).or_else(|| groups_line(&text));
        let at = Place { file: Some(&file), line, column: None };
        tell(&annotate(Level::Error, at, &title, &reason.to_string()));
    }
}

/// The group of a reason that is mended at its line of the file.
fn declared(reason: &Refused) -> Option<&GroupId> {
    match reason {
        Refused::Unseen { group }
        | Refused::Weightless { group, .. }
        | Refused::Unproved { group, .. }
        | Refused::Whole { group, .. } => Some(group),
        Refused::Undeclared { .. }
        | Refused::Dropped { .. }
        | Refused::Unknown { .. }
        | Refused::Unread { .. }
        | Refused::TwoBlues { .. }
        | Refused::Stranger { .. }
        | Refused::NoStrategy { .. }
        | Refused::NoSuchGroup { .. }
        | Refused::NoName { .. } => None,
    }
}

/// Where the file declares a group, if that is one place.
fn group_line(text: &str, group: &GroupId) -> Option<usize> {
    let key = [format!("{group}:"), format!("\"{group}\":"), format!("'{group}':")];
    only_line(text, |line| key.iter().any(|key| line.starts_with(key.as_str())))
}

/// Where the file declares its groups, if that is one place.
fn groups_line(text: &str) -> Option<usize> {
    only_line(text, |line| line.starts_with("groups:"))
}

fn only_line(text: &str, is: impl Fn(&str) -> bool) -> Option<usize> {
    let mut lines = text.lines().enumerate().filter(|(_, line)| is(line.trim_start()));
    match (lines.next(), lines.next()) {
        (Some((n, _)), None) => Some(n + 1),
        _ => None,
    }
}

/// A deployment file is wrong.
pub fn faults(faults: &Faults) {
    let Some((job, mut record)) = job() else { return };
    record.said = faults.to_string();
    let file = place(job, &faults.file);
    for fault in faults.faults.iter().take(ANNOTATIONS_MAX) {
        let hint = fault.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let at = Place { file: Some(&file), line: Some(fault.line), column: Some(fault.column) };
        tell(&annotate(Level::Error, at, "Deployment file", &format!("{}{hint}", fault.message)));
    }
}

/// A file as seen from the repository's root.
fn place(job: &Job, file: &str) -> String {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.into());
    let inside = job.workspace.as_ref().and_then(|root| whole.strip_prefix(root).ok());
    inside.map_or_else(|| file.to_owned(), |path| path.display().to_string())
}

/// The command ends: everything that later steps and people read is written.
pub fn end(result: &Result<u8, CliError>) {
    let Some((_, mut record)) = job() else { return };
    if std::mem::replace(&mut record.ended, true) {
        return;
    }
    close_group(&mut record);
    let code = match result {
        Ok(code) => *code,
        Err(error) => error.code,
    };
    record.outputs.exit_code = code;
    let known = !record.outputs.result.is_empty();
    if let Err(error) = result {
        // A refusal has said what it is already.
        if !(known && code == exit::REFUSED) {
            word(code).clone_into(&mut record.outputs.result);
        }
        failed(&mut record, error, code);
    } else if known && record.outputs.result != "planned" && record.outputs.result != "unchanged" {
        told(&record, code);
    } else if !known {
        word(code).clone_into(&mut record.outputs.result);
    }
    let pairs = record.outputs.pairs();
    let delimiter = format!("{}{}", super::context::nonce(), super::context::nonce());
    append("GITHUB_OUTPUT", &file(&pairs, &delimiter), u64::MAX);
    append("GITHUB_STEP_SUMMARY", &record.summary, STEP_SUMMARY_MAX);
}

/// What an end without a report is called.
fn word(code: u8) -> &'static str {
    match code {
        exit::DONE => "done",
        exit::USAGE => "usage",
        exit::REFUSED => "refused",
        exit::ROLLED_BACK => "rolled_back",
        exit::HUMAN_NEEDED => "failed",
        exit::HELD => "held",
        exit::PAUSED => "paused",
        exit::LOCKED => "locked",
        exit::MOVED => "moved",
        exit::INTERRUPTED => "interrupted",
        _ => "error",
    }
}

/// What an exit code means.
pub fn meaning(code: u8) -> &'static str {
    exit::TABLE.iter().find(|(other, _)| *other == code).map_or("error", |(_, meaning)| meaning)
}

fn failed(record: &mut Record, error: &CliError, code: u8) {
    let meaning = meaning(code);
    if !error.text.is_empty() {
        let hint = error.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
        let said = format!("{}{hint}", error.text);
        tell(&annotate(Level::Error, Place::default(), meaning, &said));
        record.summary += &summary::error(meaning, &said);
    } else if record.summary.is_empty() {
        record.summary += &summary::error(meaning, &record.said);
    }
}

fn told(record: &Record, code: u8) {
    let level = if code == exit::DONE { Level::Notice } else { record.level.unwrap_or(Level::Error) };
    let title =
        format!("{}: {} (exit {code})", record.outputs.rollout_id, record.outputs.result.replace('_', " "));
    let back = &record.outputs.rollback_command;
    let back = if back.is_empty() { String::new() } else { format!("\nTo go back: {back}") };
    let file = record.file.as_deref().filter(|_| level == Level::Error);
    let at = Place { file, ..Place::default() };
    tell(&annotate(level, at, &title, &format!("{}{back}", record.said)));
}

/// Adds to one of the step's files, as long as it stays below a size.
fn append(variable: &str, text: &str, size_max: u64) {
    let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) else { return };
    let has = std::fs::metadata(&path).map_or(0, |meta| meta.len());
    if text.is_empty() || has.saturating_add(text.len() as u64) > size_max {
        return;
    }
    let opened = std::fs::OpenOptions::new().append(true).create(true).open(&path);
    if let Err(error) = opened.and_then(|mut file| file.write_all(text.as_bytes())) {
        eprintln!("failed to write `{variable}`: {error}");
    }
}
