//! A line of JSON for everything that happens.

use std::collections::BTreeMap;

use serde::Serialize;

use super::group::GroupLine;
use super::json;
use super::snapshot::{SCHEMA, Snapshot, State};
use super::waiting::Kind;
use super::words::{self, Stamp};
use crate::drive::Notice;
use crate::model::{GroupId, Span};
use crate::rollout::{Event, Recorded, Rollout};

/// One line. `data` depends on `type`: the stored event for `opened`, `resumed`, `changing`, `retiring`, `settled`,
/// `ordered` and `released`; the target groups that changed for `looked`; what is waited for in `waiting`; the
/// message in `look_failed` and `journal_failed`; the whole snapshot in `end`.
#[derive(Debug, Serialize)]
struct Row<'a, D> {
    schema: u32,
    ts: Stamp,
    rollout: Named<'a>,
    #[serde(rename = "type")]
    kind: &'a str,
    state: State,
    phase: &'a str,
    elapsed_ms: Span,
    /// The same in words.
    text: Vec<String>,
    data: D,
}

#[derive(Debug, Serialize)]
struct Named<'a> {
    id: &'a str,
    service: &'a str,
    environment: &'a str,
    number: u64,
}

#[derive(Debug, Serialize)]
struct Looked<'a> {
    target_groups: Vec<&'a GroupLine>,
}

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Ndjson {
    groups: BTreeMap<GroupId, GroupLine>,
    waiting: Option<(Kind, String, Option<Span>)>,
}

impl Ndjson {
    /// What there is to tell about a notice.
    pub(super) fn lines(&mut self, snapshot: &Snapshot, state: &Rollout, notice: &Notice<'_>) -> String {
        let mut lines = match notice {
            Notice::Recorded(fact) => self.fact(snapshot, state, fact),
            Notice::LookFailed(fault) => row(snapshot, "look_failed", vec![fault.to_string()], fault),
            Notice::JournalFailed(fault) => {
                let said = fault.to_string();
                row(snapshot, "journal_failed", vec![said.clone()], &said)
            }
            Notice::Looked | Notice::Next(_) => String::new(),
        };
        let waits = &snapshot.waits_for;
        let key = Some((waits.kind, waits.what.clone(), waits.hold_ms));
        if key != self.waiting && waits.kind != Kind::Nothing {
            self.waiting = key;
            lines += &row(snapshot, "waiting", vec![waits.line(snapshot.at.0).to_string()], waits);
        }
        lines
    }

    fn fact(&mut self, snapshot: &Snapshot, state: &Rollout, fact: &Recorded) -> String {
        let text = words::event(&fact.event, state).iter().map(ToString::to_string).collect();
        match &fact.event {
            Event::Looked { .. } => {
                let mut changed = Vec::new();
                for group in &snapshot.target_groups {
                    if self.groups.get(&group.group) != Some(group) {
                        self.groups.insert(group.group.clone(), group.clone());
                        changed.push(group);
                    }
                }
                row(snapshot, "looked", text, Looked { target_groups: changed })
            }
            other => row(snapshot, other.name(), text, other),
        }
    }
}

/// The last line of all.
pub(super) fn end(snapshot: &Snapshot) -> String {
    row(snapshot, "end", vec![super::receipt::sentence(snapshot).to_string()], snapshot)
}

fn row(snapshot: &Snapshot, kind: &str, text: Vec<String>, data: impl Serialize) -> String {
    json::line(&Row {
        schema: SCHEMA,
        ts: snapshot.at,
        rollout: Named {
            id: &snapshot.rollout,
            service: &snapshot.service,
            environment: &snapshot.environment,
            number: snapshot.number,
        },
        kind,
        state: snapshot.state,
        phase: snapshot.phase,
        elapsed_ms: snapshot.elapsed_ms,
        text,
        data,
    })
}
