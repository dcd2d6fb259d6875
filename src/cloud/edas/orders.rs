//! Change orders: what EDAS does to an application, one at a time and in its own time.
//!
//! The operations that begin one know no token, so whoever begins one looks first whether it has been begun.

use std::collections::BTreeSet;

use super::api::edas::{self, ChangeOrder, Number};
use super::client::Client;
use super::home::Home;
use super::patience::shown;
use crate::cloud::{Fault, FaultKind};
use crate::model::FleetId;

/// How far a change order is (`GetChangeOrderInfo` in the official SDK).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It will go on by itself.
    Running,
    /// It waits for somebody to confirm the next batch, which we never ask for.
    Waiting,
    /// Done, on every instance.
    Done,
    /// Over, and not everywhere done.
    Failed,
}

impl Progress {
    /// A status that nobody knows counts as running: the phase's deadline ends it.
    pub fn of(order: &ChangeOrder) -> Self {
        match order.status {
            2 => Self::Done,
            // Failed, aborted, done on some instances only, failed by EDAS itself.
            3 | 6 | 7 | 10 => Self::Failed,
            8 => Self::Waiting,
            _ => Self::Running,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed)
    }
}

/// The newest change order of a deploy group.
pub(super) fn newest<'a>(orders: &'a [ChangeOrder], group: &str) -> Option<&'a ChangeOrder> {
    latest(orders.iter().filter(|order| order.group_id.as_deref() == Some(group)))
}

/// The newest change order of a whole application.
pub(super) fn newest_of(orders: &[ChangeOrder]) -> Option<&ChangeOrder> {
    latest(orders.iter())
}

fn latest<'a>(orders: impl Iterator<Item = &'a ChangeOrder>) -> Option<&'a ChangeOrder> {
    // The times are texts of one form, so they sort as they are; the list says nothing of its order. Of two in one second
    // the one counts that did not go well.
    orders.max_by_key(|order| (&order.create_time, Progress::of(order) != Progress::Done))
}

/// What may be begun on an application.
#[derive(Debug)]
pub(super) enum Turn {
    /// Nothing runs.
    Free,
    /// Nothing runs, and the last change order of this deploy group went wrong.
    Spoilt,
    /// This change order of the very deploy group has not ended.
    Taken(ChangeOrder),
}

/// Whether a change of the deploy group may begin now.
///
/// # Errors
/// [`FaultKind::Conflict`] while EDAS changes something else of the application.
pub(super) fn turn(orders: &[ChangeOrder], group: &str) -> Result<Turn, Fault> {
    let open: Vec<_> = orders.iter().filter(|order| !Progress::of(order).is_over()).collect();
    if let Some(other) = open.iter().find(|order| order.group_id.as_deref() != Some(group)) {
        let message = format!(
            "EDAS works on {} of this application, and does one at a time: {WAY_OUT}",
            described(other)
        );
        return Err(Fault::new(FaultKind::Conflict, "ListRecentChangeOrder", message));
    }
    Ok(match (latest(open.into_iter()), newest(orders, group)) {
        (Some(order), _) => Turn::Taken(order.clone()),
        (None, Some(last)) if Progress::of(last) == Progress::Failed => Turn::Spoilt,
        (None, _) => Turn::Free,
    })
}

/// Whether a change of an application that is a fleet of its own may begin now: each of its change orders is the fleet's.
pub(super) fn turn_of(orders: &[ChangeOrder]) -> Turn {
    let open = orders.iter().filter(|order| !Progress::of(order).is_over());
    match (latest(open), newest_of(orders)) {
        (Some(order), _) => Turn::Taken(order.clone()),
        (None, Some(last)) if Progress::of(last) == Progress::Failed => Turn::Spoilt,
        (None, _) => Turn::Free,
    }
}

/// What people can do about a change order that does not end. It is not aborted for them: nobody says what becomes of what
/// it had begun, such as instances that are being bought and would come when nobody looks for them any more.
const WAY_OUT: &str = "let it end, or abort it in the EDAS console";

/// The change order by its id and its kind.
fn described(order: &ChangeOrder) -> String {
    let said = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let kind = said(&order.co_type).or_else(|| said(&order.co_type_code));
    format!("the change order {} ({})", order.change_order_id, kind.as_deref().unwrap_or("unknown type"))
}

/// The refusal to take a fleet away while a change order of it is open that does something else. Who took it for done would
/// wait for a fleet to go that nobody has told to.
pub(super) fn in_the_way(order: &ChangeOrder, fleet: &FleetId) -> Fault {
    let message = format!("`{fleet}` cannot go while EDAS works on {} of it: {WAY_OUT}", described(order));
    Fault::new(FaultKind::Conflict, "ListRecentChangeOrder", message)
}

/// Whether a change order takes instances away. No page of EDAS lists its codes: this is one of its sibling SAE, which has
/// others that begin so, and the code and the words of EDAS's own example are of two kinds (help.aliyun.com, 2026-11). So
/// either will do.
pub(super) fn takes_away(order: &ChangeOrder) -> bool {
    is_of_kind(order, "CoScaleIn", "scale in")
}

/// Whether a change order installs something, by the same words.
pub(super) fn deploys(order: &ChangeOrder) -> bool {
    is_of_kind(order, "CoDeploy", "deploy")
}

fn is_of_kind(order: &ChangeOrder, code: &str, words: &str) -> bool {
    let by_code = order.co_type_code.as_deref().is_some_and(|own| own.starts_with(code));
    by_code || order.co_type.as_deref().is_some_and(|own| own.to_lowercase().contains(words))
}

/// Begins a change order beside those that there were, and waits until it is listed: who looks too early would begin
/// another one. So whose answer was lost waits for it as well, for the time that one call may take.
///
/// # Errors
/// The fault of whatever begins it; [`FaultKind::Conflict`] where EDAS refuses it while a new one runs, which may be that of
/// an earlier try: it says so with codes of its own.
pub(super) async fn begun(
    client: &Client,
    (home, application): (&Home, &str),
    before: &[ChangeOrder],
    work: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    let before: BTreeSet<&str> = before.iter().map(|order| order.change_order_id.as_str()).collect();
    let is_new = |order: &&ChangeOrder| !before.contains(order.change_order_id.as_str());
    let list = async || edas::list_recent_change_order(client, application).await;
    let listed = async || shown(home, async || Ok(list().await?.iter().any(|order| is_new(&order)))).await;
    let Err(fault) = work.await else { return listed().await };
    if fault.ambiguous {
        // Whether it is there now or not, the next try begins with the list.
        listed().await.unwrap_or_else(|fault| tracing::debug!("the change orders cannot be listed: {fault}"));
        return Err(fault);
    }
    let orders = list().await.unwrap_or_default();
    let running = |order: &&ChangeOrder| !Progress::of(order).is_over();
    match orders.iter().filter(is_new).find(running) {
        None => Err(fault),
        Some(order) => {
            let id = &order.change_order_id;
            let message =
                format!("{}, while the change order {id} runs, which has just begun", fault.message);
            Err(Fault { kind: FaultKind::Conflict, message, ..fault }.ambiguous())
        }
    }
}

/// How far a change order is, as people read it, and what has gone wrong in it so far: `Deploy, stage 2/4: EDAS-10015 package
/// URL 404 (Download)`. Empty where EDAS does not say.
pub(super) async fn far(client: &Client, order: &ChangeOrder) -> String {
    edas::get_change_order_info(client, &order.change_order_id)
        .await
        .map_or_else(|_| String::new(), |info| so_far(&info))
}

fn so_far(info: &edas::OrderInfo) -> String {
    let told = [stage(info), error(info)];
    told.into_iter().flatten().collect::<Vec<_>>().join(": ")
}

/// Why a change order went wrong, in EDAS's words, or how it ended where it cannot be asked.
pub(super) async fn why(client: &Client, order: &ChangeOrder) -> String {
    reason(client, order).await.unwrap_or_else(|_| end(order))
}

/// Why a change order went wrong, in EDAS's words.
///
/// # Errors
/// The call's fault: then all that is known is its [`end`].
pub(super) async fn reason(client: &Client, order: &ChangeOrder) -> Result<String, Fault> {
    let info = edas::get_change_order_info(client, &order.change_order_id).await?;
    Ok(error(&info).map_or_else(|| end(order), |error| format!("{}: {error}", end(order))))
}

/// How a change order ended that did not do what it should.
pub(super) fn end(order: &ChangeOrder) -> String {
    let end = match (Progress::of(order), order.status) {
        (Progress::Waiting, _) => "waits for a confirmation by hand",
        (_, 6) => "was aborted",
        (_, 7) => "was done on some instances only",
        (_, 10) => "failed in EDAS itself",
        _ => "failed",
    };
    format!("{} {} {end}", order.co_type.as_deref().unwrap_or("a change"), order.change_order_id)
}

/// The last stage that has begun, by either list.
fn stage(info: &edas::OrderInfo) -> Option<String> {
    let details = stages(info).map(|own| (own.stage_name.as_deref(), own.stage_status.as_ref()));
    let reports = reports(info).map(|own| (own.stage_name.as_deref(), own.status.as_ref()));
    [details.collect(), reports.collect()].iter().find_map(|all: &Vec<_>| {
        let begun = |(_, code): &(Option<&str>, Option<&Number>)| code.and_then(Number::value) > Some(0);
        let at = all.iter().rposition(begun)?;
        let name = all.get(at).and_then(|(name, _)| *name).unwrap_or("unnamed");
        Some(format!("{name}, stage {}/{}", at + 1, all.len()))
    })
}

fn pipelines(info: &edas::OrderInfo) -> impl Iterator<Item = &edas::Pipeline> {
    info.pipeline_info_list.iter().flat_map(|list| &list.all)
}

fn stages(info: &edas::OrderInfo) -> impl Iterator<Item = &edas::Stage> {
    pipelines(info).flat_map(|pipeline| &pipeline.stage_detail_list).flat_map(|list| &list.all)
}

fn reports(info: &edas::OrderInfo) -> impl Iterator<Item = &edas::Report> {
    pipelines(info).flat_map(|pipeline| &pipeline.stage_list).flat_map(|list| &list.all)
}

/// What went wrong first.
fn error(info: &edas::OrderInfo) -> Option<String> {
    task(info).or_else(|| reports(info).find_map(reported))
}

fn said(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.is_empty())
}

/// The first task that tells an error.
fn task(info: &edas::OrderInfo) -> Option<String> {
    let mut tasks = stages(info).flat_map(|stage| {
        let name = stage.stage_name.as_deref();
        stage.task_list.iter().flat_map(|list| &list.all).map(move |task| (name, task))
    });
    tasks.find_map(|(stage, task)| {
        let (code, message) = (said(task.task_error_code.as_ref()), said(task.task_error_message.as_ref()));
        let told = match (code, message) {
            (Some(code), Some(message)) => format!("{code} {message}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => return None,
        };
        let place = task.task_name.as_deref().or(stage).unwrap_or("a task");
        Some(format!("{told} ({place})"))
    })
}

/// What a stage that went wrong says, of the batch or of the first instance in which it did. What goes well has messages too.
fn reported(report: &edas::Report) -> Option<String> {
    let result = report.result.as_ref()?;
    let stage = report.stage_name.as_deref().unwrap_or("a stage");
    let whole = result.service_stage.as_ref().filter(|own| is_wrong(own.status.as_ref()));
    if let Some(message) = whole.and_then(|own| said(own.message.as_ref())) {
        return Some(format!("{message} ({stage})"));
    }
    result.instances.iter().flat_map(|list| &list.all).find_map(|instance| {
        let name = said(instance.pod_name.as_ref()).or_else(|| said(instance.instance_name.as_ref()));
        let mut wrong =
            instance.stages.iter().flat_map(|list| &list.all).filter(|own| is_wrong(own.status.as_ref()));
        let (own, message) = wrong.find_map(|own| Some((own, said(own.stage_message.as_ref())?)))?;
        let place = own.stage_name.as_deref().unwrap_or(stage);
        let name = name.map_or("an instance", String::as_str);
        Some(format!("{message} ({place} on {name})"))
    })
}

/// Whether a stage ended and did not do what it should. Its codes are taken to be those of a change order, as in SAE.
fn is_wrong(code: Option<&Number>) -> bool {
    matches!(code.and_then(Number::value), Some(3 | 6 | 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(id: &str, group: &str, status: i64, created: &str) -> ChangeOrder {
        ChangeOrder {
            change_order_id: id.into(),
            status,
            group_id: Some(group.into()),
            co_type: None,
            co_type_code: None,
            create_time: Some(created.into()),
        }
    }

    #[test]
    fn only_a_change_order_that_is_done_everywhere_counts_as_done() {
        let of = |status| Progress::of(&order("o", "g", status, ""));
        assert_eq!(of(2), Progress::Done);
        for status in [3, 6, 7, 10] {
            assert_eq!(of(status), Progress::Failed, "{status}");
        }
        assert_eq!(of(8), Progress::Waiting);
        for status in [0, 1, 9, 4, 99, -1] {
            assert_eq!(of(status), Progress::Running, "{status}");
        }
    }

    #[test]
    fn the_newest_order_of_a_group_is_told_by_its_time_wherever_it_stands_in_the_list() {
        let orders = [
            order("old", "green", 3, "2026-11-22 10:00:00"),
            order("new", "green", 2, "2026-11-22 10:05:00"),
            order("other", "blue", 1, "2026-11-22 10:09:00"),
            order("bad", "grey", 3, "2026-11-22 10:07:00"),
            order("good", "grey", 2, "2026-11-22 10:07:00"),
        ];
        assert_eq!(newest(&orders, "green").map(|order| order.change_order_id.as_str()), Some("new"));
        assert_eq!(newest(&orders, "grey").map(|order| order.change_order_id.as_str()), Some("bad"));
        assert!(newest(&orders, "black").is_none());
    }

    #[test]
    fn a_change_order_of_another_group_is_in_the_way_and_one_of_its_own_is_handed_over() {
        let orders = [
            order("old", "green", 3, "2026-11-22 10:00:00"),
            order("open", "green", 8, "2026-11-22 10:05:00"),
        ];
        assert!(matches!(turn(&orders, "green"), Ok(Turn::Taken(open)) if open.change_order_id == "open"));
        assert!(matches!(turn_of(&orders), Turn::Taken(open) if open.change_order_id == "open"));
        let fault = turn(&orders, "blue").unwrap_err();
        assert_eq!((fault.kind, fault.ambiguous), (FaultKind::Conflict, false));
        for word in ["the change order open (unknown type)", "one at a time", "EDAS console"] {
            assert!(fault.message.contains(word), "{fault}");
        }
        assert!(matches!(turn(&orders[..1], "green"), Ok(Turn::Spoilt)));
        assert!(matches!(turn(&orders[..1], "blue"), Ok(Turn::Free)));
    }

    #[test]
    fn a_change_order_that_takes_instances_away_is_told_by_its_code_or_by_its_words() {
        let of = |code: Option<&str>, words: &str| ChangeOrder {
            co_type_code: code.map(str::to_owned),
            co_type: Some(words.to_owned()),
            ..order("o", "g", 1, "")
        };
        for (code, words) in [
            (Some("CoScaleIn"), ""),
            (Some("CoScaleInAppWithInstances"), "应用缩容"),
            (None, "Scale In Application"),
            (Some("CoDeploy"), "Application Scale In"),
        ] {
            assert!(takes_away(&of(code, words)), "{code:?} {words}");
        }
        for (code, words) in [
            (Some("CoScaleOut"), "Scale Out Application"),
            (Some("CoDeploy"), "Deploy Application"),
            (None, ""),
        ] {
            assert!(!takes_away(&of(code, words)), "{code:?} {words}");
        }
        assert!(deploys(&of(Some("CoDeploy"), "")) && !deploys(&of(Some("CoScaleIn"), "")));
    }

    #[test]
    fn a_running_order_is_told_by_the_last_stage_that_has_begun_however_its_code_is_written() {
        let text = serde_json::json!({ "PipelineInfoList": { "PipelineInfo": [{ "StageDetailList": { "StageDetailDTO": [
            { "StageName": "Prepare", "StageStatus": 2 }, { "StageName": "Deploy", "StageStatus": "1" },
            { "StageName": "Check", "StageStatus": 0 },
        ] } }] } });
        assert_eq!(so_far(&serde_json::from_value(text).unwrap()), "Deploy, stage 2/3");
    }

    #[test]
    fn the_task_that_failed_is_told_with_its_code() {
        let text = serde_json::json!({ "PipelineInfoList": { "PipelineInfo": [{ "StageDetailList": { "StageDetailDTO": [
            { "StageName": "Prepare", "TaskList": { "TaskInfoDTO": [{ "TaskName": "Clean", "TaskErrorCode": "" }] } },
            { "StageName": "Deploy", "TaskList": { "TaskInfoDTO": [
                { "TaskName": "Download", "TaskErrorCode": "EDAS-10015", "TaskErrorMessage": "package URL 404" },
            ] } },
        ] } }] } });
        let info: edas::OrderInfo = serde_json::from_value(text).unwrap();
        assert_eq!(stage(&info), None);
        assert_eq!(error(&info).as_deref(), Some("EDAS-10015 package URL 404 (Download)"));
    }

    #[test]
    fn a_stage_and_an_error_are_read_from_what_came_of_the_instances_where_no_task_tells_them() {
        let text = serde_json::json!({ "PipelineInfoList": { "PipelineInfo": [{ "StageList": { "StageInfoDTO": [
            { "StageName": "Prepare", "Status": 2, "StageResultDTO": { "ServiceStage": { "Status": 2, "Message": "fine" } } },
            { "StageName": "Deploy", "Status": 1, "StageResultDTO": { "InstanceDTOList": { "InstanceDTO": [
                { "PodName": "api-1", "InstanceStageDTOList": { "InstanceStageDTO": [
                    { "StageName": "Pull", "StageMessage": "pulled", "Status": 2 },
                ] } },
                { "PodName": "api-2", "InstanceStageDTOList": { "InstanceStageDTO": [
                    { "StageName": "Pull", "StageMessage": "", "Status": 3 },
                    { "StageName": "Start", "StageMessage": "image not found", "Status": "3" },
                ] } },
            ] } } },
            { "StageName": "Check", "Status": 0 },
        ] } }] } });
        let info: edas::OrderInfo = serde_json::from_value(text).unwrap();
        assert_eq!(so_far(&info), "Deploy, stage 2/3: image not found (Start on api-2)");
        let whole = serde_json::json!({ "PipelineInfoList": { "PipelineInfo": [{ "StageList": { "StageInfoDTO": [
            { "StageName": "Deploy", "Status": 3, "StageResultDTO": { "ServiceStage": { "Status": 3, "Message": "no quota" } } },
        ] } }] } });
        let info: edas::OrderInfo = serde_json::from_value(whole).unwrap();
        assert_eq!(error(&info).as_deref(), Some("no quota (Deploy)"));
    }

    #[test]
    fn a_list_of_another_form_keeps_nothing_from_being_read_that_is_known() {
        let text = serde_json::json!({ "PipelineInfoList": { "PipelineInfo": [{
            "StageList": { "StageInfoDTO": "none" },
            "StageDetailList": { "StageDetailDTO": [{ "StageName": "Deploy", "StageStatus": 1 }] },
        }, { "StageList": null }] } });
        assert_eq!(so_far(&serde_json::from_value(text).unwrap()), "Deploy, stage 1/1");
    }
}
