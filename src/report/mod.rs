//! Facts in, what people and machines read out.
//!
//! Promises: every screen is made from the same facts, so that no two of them disagree; names, reasons and messages
//! from files and clouds are escaped where they enter a line, so that none can move a cursor or forge a line; meaning
//! never lies in colour or a glyph alone. Must not decide, look or change anything.

mod escape;
mod text;
mod table;
mod hints;
mod words;
mod timeline;
mod waiting;
mod group;
mod snapshot;
mod advice;
mod plain;
mod terminal;
mod ndjson;
mod json;
mod screen;
mod board;
mod receipt;
mod refusal;
mod plan;
mod status;
mod history;
mod doctor;
pub mod github;

pub use advice::Advice;
pub use board::{Board, Standing, board, ends};
pub use doctor::{Checkup, checkup};
pub use escape::escape;
pub use group::{GroupLine, GroupState, SideLine};
pub use hints::Hints;
pub use history::{Past, history, history_json};
pub use json::{document, line};
pub use plan::{Proposal, ProposedGroup, Total};
pub use receipt::{brief, receipt};
pub use refusal::{RefusalDocument, holding, refused};
pub use screen::{Form, Manner, Screen};
pub use snapshot::{FleetLine, PhaseLine, PhaseState, SCHEMA, Snapshot, State, WaiverLine, outcome};
pub use status::{Account, Told, show, status, why};
pub use terminal::frame;
pub use text::{Line, Text, Tone};
pub use timeline::{Stretch, Timeline};
pub use waiting::{Kind as WaitKind, Waiting};
pub use words::Stamp;
