//! The summary of a step, in Markdown.

use super::super::escape::{brief, escape};
use super::super::group::{GroupLine, SideLine};
use super::super::hints::Hints;
use super::super::plan::{Proposal, ProposedGroup};
use super::super::receipt::sentence;
use super::super::snapshot::{PhaseState, Snapshot, State};
use super::super::words::{self, count, rough};
use super::super::{Advice, RefusalDocument};
use std::fmt::Write as _;

use super::command::Level;
use crate::model::Purpose;
use crate::plan::Refusal;

/// The longest summary of one rollout. GitHub drops a step's whole summary where it is longer than 1 MiB.
pub const SUMMARY_MAX: usize = 200 << 10;
/// Rows of a table end here, so that what follows them fits too.
const ROWS_UNTIL: usize = SUMMARY_MAX / 2;
/// Gaps in an annotation.
const GAPS_MAX: usize = 10;

/// How a rollout ended, or where it stands.
#[must_use]
pub fn rollout(snapshot: &Snapshot) -> String {
    let sign = match (snapshot.outcome, snapshot.state) {
        (Some("fenced" | "interrupted"), _) => ":warning:",
        (_, State::Completed) => ":white_check_mark:",
        (_, State::Paused | State::AwaitsPromotion) => ":hourglass:",
        (_, State::RolledBack | State::GoingBack) => ":leftwards_arrow_with_hook:",
        (_, State::Running) => ":arrow_forward:",
        (_, State::Failed | State::Holding) => ":x:",
    };
    let word =
        snapshot.outcome.map_or_else(|| snapshot.state.word().to_owned(), |word| word.replace('_', " "));
    let blue = snapshot.blue.as_ref().map(|blue| blue.revision.as_str());
    let mut text = title(sign, &word, &snapshot.service, blue, snapshot.green.revision.as_str());
    put(
        &mut text,
        format_args!(
            "\nRollout {} to {} by {}, {} elapsed. {}\n",
            code(&snapshot.rollout),
            code(&snapshot.environment),
            code(snapshot.strategy.as_str()),
            rough(snapshot.elapsed_ms),
            plain(&sentence(snapshot).to_string())
        ),
    );
    if let Purpose::Rollback { of } = snapshot.purpose {
        put(&mut text, format_args!("It brings back what was before rollout {of}.\n"));
    }
    let fault = snapshot.fault.as_ref().filter(|_| snapshot.state != State::Completed);
    let fault = fault.map(ToString::to_string);
    let reasons = [
        ("Why", snapshot.cause.as_deref()),
        ("In the way", snapshot.stuck.as_deref()),
        ("Last fault", fault.as_deref()),
    ];
    for (what, why) in reasons.into_iter().filter_map(|(what, why)| Some((what, why?))) {
        put(&mut text, format_args!("\n**{what}:** {}\n", code(why)));
    }
    gaps(&mut text, snapshot);
    groups(&mut text, snapshot);
    phases(&mut text, snapshot);
    for waiver in &snapshot.waivers {
        let (group, reason) = (code(&waiver.group), code(&waiver.reason));
        row(&mut text, &format!("\n:warning: Waived: {group} by {}: {reason}\n", code(&waiver.by)));
    }
    next(&mut text, &snapshot.next);
    bounded(text)
}

/// The end in a few plain sentences, for an annotation.
#[must_use]
pub fn sentences(snapshot: &Snapshot) -> String {
    let mut all = vec![sentence(snapshot).to_string().trim().to_owned()];
    all.extend(snapshot.cause.iter().map(|cause| format!("Why: {cause}")));
    all.extend(snapshot.stuck.iter().map(|stuck| format!("In the way: {stuck}")));
    all.extend(snapshot.waits_for.gaps.iter().take(GAPS_MAX).map(|gap| words::gap(gap).to_string()));
    all.join("\n")
}

/// How loud that is: whoever paused it, or a rollout that waits for a word, is no fault.
#[must_use]
pub fn level(snapshot: &Snapshot) -> Level {
    match (snapshot.outcome, snapshot.state) {
        (Some("held" | "fenced"), _) => Level::Error,
        (Some("interrupted"), _) | (_, State::Paused | State::AwaitsPromotion) => Level::Warning,
        (_, State::Completed | State::Running) => Level::Notice,
        (_, State::RolledBack | State::GoingBack | State::Failed | State::Holding) => Level::Error,
    }
}

/// What a rollout would do.
#[must_use]
pub fn plan(proposal: &Proposal) -> String {
    let plan = &proposal.plan;
    let blue = plan.blue.as_ref().map(|blue| blue.revision.as_str());
    let word = if proposal.changes { "plan" } else { "plan, the same revision again" };
    let service = plan.rollout.service.as_str();
    let mut text = title(":memo:", word, service, blue, plan.green.revision.as_str());
    put(
        &mut text,
        format_args!(
            "\n{} by {}: {} expected, each needs {} of green before blue may go. It waits at least {}",
            code(&plan.rollout.to_string()),
            code(plan.strategy.as_str()),
            count(proposal.target_groups.len(), "target group"),
            words::healthy(proposal.required),
            rough(proposal.expected.at_least_ms),
        ),
    );
    match proposal.expected.promotions {
        0 => text.push_str(".\n"),
        holds => put(&mut text, format_args!(", and {} for `promote`.\n", count(holds, "time"))),
    }
    text += "\n| Target group | Expected because | Reached by | Blue registered | Blue healthy |\n| --- | --- | --- | --: | --: |\n";
    rows(&mut text, &proposal.target_groups, |group: &ProposedGroup| {
        let because: Vec<_> = group.expected_because.iter().map(|why| words::because(*why)).collect();
        format!(
            "| {} | {} | {} | {} | {} |\n",
            code(group.group.as_str()),
            because.join(", "),
            group.routes.iter().take(3).map(|route| code(route)).collect::<Vec<_>>().join(" "),
            group.blue_registered,
            group.blue_healthy
        )
    });
    for remark in &proposal.remarks {
        row(&mut text, &format!("\n:warning: {}\n", plain(remark)));
    }
    put(&mut text, format_args!("\n**To do it:** {}\n", command(&proposal.command)));
    bounded(text)
}

/// A plan that was refused.
#[must_use]
pub fn refusal(refusal: &Refusal, hints: &Hints) -> String {
    let document = RefusalDocument::of(refusal, hints);
    let mut text = format!(
        "### :no_entry: Refused: {}\n\nNothing was changed. Blue still serves everything.\n\n",
        code(hints.service.as_str())
    );
    rows(&mut text, &document.text, |reason: &String| format!("- {}\n", plain(reason)));
    if document.dark > 0 {
        let groups = count(document.groups, "group");
        put(
            &mut text,
            format_args!(
                "\nIf blue were removed now, **{} of {groups} would have no healthy target**.\n",
                document.dark
            ),
        );
    }
    next(&mut text, &document.next);
    bounded(text)
}

/// An end without a rollout to show.
#[must_use]
pub fn error(word: &str, said: &str) -> String {
    bounded(format!("### :x: {word}\n\n{}\n", plain(said)))
}

fn title(sign: &str, word: &str, service: &str, blue: Option<&str>, green: &str) -> String {
    let from = blue.map(|blue| format!("{} → ", code(blue))).unwrap_or_default();
    format!("### {sign} {}: {} {from}{}\n", capital(word), code(service), code(green))
}

fn capital(word: &str) -> String {
    let mut signs = word.chars();
    signs.next().map(|first| first.to_uppercase().chain(signs).collect()).unwrap_or_default()
}

fn gaps(text: &mut String, snapshot: &Snapshot) {
    let gaps = &snapshot.waits_for.gaps;
    if gaps.is_empty() {
        return;
    }
    *text += "\n**Not covered by green, so blue is kept:**\n\n";
    rows(text, gaps, |gap| format!("- {}\n", plain(&words::gap(gap).to_string())));
}

fn groups(text: &mut String, snapshot: &Snapshot) {
    if snapshot.target_groups.is_empty() {
        return;
    }
    *text += "\n| Target group | State | Expected because | Green registered | Green healthy | Green's share | Blue healthy |\n| --- | --- | --- | --: | --: | --: | --: |\n";
    let mut all: Vec<_> = snapshot.target_groups.iter().collect();
    all.sort_by_key(|group| !group.interesting());
    rows(text, &all, |group: &&GroupLine| {
        let number = |side: Option<&SideLine>, of: fn(&SideLine) -> String| side.map(of).unwrap_or_default();
        let green = group.green.as_ref();
        let remark = group.waived.as_ref().map(|why| format!("waived: {why}")).or(group.reason.clone());
        let remark = remark.map(|remark| format!(" {}", code(&remark))).unwrap_or_default();
        format!(
            "| {} | {}{remark} | {} | {} | {} | {} | {} |\n",
            code(group.group.as_str()),
            group.state.word(),
            plain(&group.because()),
            number(green, |side| side.registered.to_string()),
            number(green, |side| side.healthy.to_string()),
            number(green, |side| format!("{}%", side.share_percent)),
            number(group.blue.as_ref(), |side| side.healthy.to_string()),
        )
    });
}

fn phases(text: &mut String, snapshot: &Snapshot) {
    let past = snapshot.phases.iter().filter(|phase| phase.state != PhaseState::ToCome);
    let past: Vec<_> = past.filter_map(|phase| Some((phase, phase.took_ms?))).collect();
    if past.is_empty() {
        return;
    }
    *text += "\n| Phase | Took | |\n| --- | --: | --- |\n";
    for (phase, took) in past {
        let word = match phase.state {
            PhaseState::Failed => "stopped",
            PhaseState::Running => "so far",
            PhaseState::Done | PhaseState::ToCome => "",
        };
        put(text, format_args!("| {} | {} | {word} |\n", phase.phase, rough(took)));
    }
}

fn next(text: &mut String, next: &[Advice]) {
    for advice in next {
        row(text, &format!("\n**{}:** {}\n", capital(advice.what), command(&advice.command)));
    }
}

/// As many rows as fit, and how many there are beyond.
fn rows<T>(text: &mut String, all: &[T], row: impl Fn(&T) -> String) {
    for (n, one) in all.iter().enumerate() {
        if text.len() > ROWS_UNTIL {
            put(text, format_args!("\n… and {} more.\n", all.len() - n));
            return;
        }
        *text += &row(one);
    }
}

fn row(text: &mut String, one: &str) {
    if text.len() <= ROWS_UNTIL {
        *text += one;
    }
}

/// What is still too long is cut between lines; the tables are bounded already.
fn bounded(text: String) -> String {
    if text.len() <= SUMMARY_MAX {
        return text;
    }
    let end = text[..text.floor_char_boundary(SUMMARY_MAX)].rfind('\n').unwrap_or(0);
    format!("{}\n\n… cut\n", &text[..end])
}

/// Somebody else's words, in which nothing is Markdown, HTML, a link, a mention or an emoji: every sign that
/// could mean anything is written as its code.
fn code(words: &str) -> String {
    format!("<code>{}</code>", coded(&brief(words)))
}

/// A command as it is typed, whole: half a command is worse than none.
fn command(words: &str) -> String {
    format!("<code>{}</code>", coded(words))
}

/// Words of ours with names of others in them.
fn plain(words: &str) -> String {
    coded(words)
}

/// Writing to a text does not fail.
fn put(text: &mut String, piece: std::fmt::Arguments<'_>) {
    let _ = text.write_fmt(piece);
}

fn coded(words: &str) -> String {
    let mut safe = String::with_capacity(words.len());
    let mut before = ' ';
    for c in escape(words).chars() {
        // These mean nothing inside a line, but for the point that makes a link of `www.`.
        let plain = " -,/".contains(c) || (c == '.' && !before.eq_ignore_ascii_case(&'w'));
        if c == '@' {
            // Addresses become links even where the sign is written as its code; a break inside is not seen.
            safe += "&#64;<wbr>";
        } else if c.is_ascii() && !c.is_ascii_alphanumeric() && !plain {
            put(&mut safe, format_args!("&#{};", u32::from(c)));
        } else {
            safe.push(c);
        }
        before = c;
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_foreign_text_is_markdown_or_html() {
        let hostile = "|x|\n# h\n<img src=x onerror=alert(1)> [a](javascript:b) `c` @me www.a.com :boom: ![i](u) \\| 🚀 组";
        let safe = code(hostile);
        let inside = safe.strip_prefix("<code>").and_then(|rest| rest.strip_suffix("</code>")).unwrap();
        let inside = &inside.replace("<wbr>", "");
        let bare: String =
            inside.split('&').map(|part| part.split_once(';').map_or(part, |(_, rest)| rest)).collect();
        assert!(
            bare.chars().all(|c| !c.is_ascii() || c.is_ascii_alphanumeric() || " -,/.".contains(c)),
            "{bare}"
        );
        assert!(!bare.contains("www."), "{bare}");
        assert!(inside.contains('🚀') && inside.contains('组'), "{inside}");
    }
}
