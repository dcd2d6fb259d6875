//! Two deploy groups that alternate: one serves, the other rests, empty.
//!
//! A fleet comes up in steps of which each is a change order: its instances, then its package. The machine asks for the
//! fleet until a look shows it, and each time the next step that is still to be done is begun.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::api::edas::{self, Application, ChangeOrder, DeployGroup, Record, Status, Tag};
use super::client::Client;
use super::freeze;
use super::hold::{self, LetGo};
use super::home::{Ecs, Home};
use super::hosts;
use super::memory::Memory;
use super::orders::{self, Progress, Turn};
use super::patience::{Site, found, shown};
use super::settings::Settings;
use super::spared::Parts;
use super::weights;
use crate::cloud::{Fault, FaultKind, Leeway, clock};
use crate::model::{
    Fleet, FleetId, FleetSeen, GroupId, InstanceId, InstanceState, Revision, Scaling, Seen, Time, Token,
};
use crate::spec::Hosts;

/// [`edas::Ecc::app_state`] of one that runs.
const RUNNING: i64 = 7;
/// Before the id of a deploy group, the key of the tag that tells for what we are filling it.
const FILLING: &str = "deployer:filling:";

/// One instance of a fleet.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// Its addresses, that which EDAS knows first, and behind them its interfaces: under any of them it may stand somewhere.
    pub addresses: Vec<String>,
    /// How far it is.
    pub state: InstanceState,
}

impl Member {
    /// The address by which it is put into a group of addresses.
    pub fn address(&self) -> Option<&String> {
        self.addresses.iter().find(|name| is_address(name))
    }
}

/// Whether a name is an address, and not an interface or an instance.
pub(super) fn is_address(name: &str) -> bool {
    name.parse::<std::net::IpAddr>().is_ok()
}

/// One deploy group that has instances.
#[derive(Debug, Clone)]
pub(super) struct FleetNow {
    /// Its id; the fleet has its name.
    pub group_id: String,
    /// What of it EDAS alone can tell: its attachments are those that EDAS keeps.
    pub seen: FleetSeen,
    /// Its instances by ECS id.
    pub members: BTreeMap<InstanceId, Member>,
}

/// Every fleet of the application. A deploy group without an instance is none: it rests.
#[derive(Debug, Clone, Default)]
pub(super) struct Fleets {
    /// By the deploy group's name.
    pub all: BTreeMap<FleetId, Seen<FleetNow>>,
    /// Bindings that put instances into production by themselves, as sentence fragments.
    pub unread: BTreeSet<String>,
    /// Whether the load balancers know their instances by address only, as they do pods.
    pub by_address: bool,
    /// Ports of every node of a cluster that lead to one of the fleets, with what leads there.
    pub node_ports: BTreeMap<u32, String>,
    /// The addresses of the nodes that their pods are on.
    pub nodes: BTreeSet<String>,
    /// Server groups that their own fleet has left, though its pods stand there still, and when.
    pub left: BTreeMap<String, Time>,
    /// Whose change orders are which, whether they have instances or not.
    pub places: BTreeMap<FleetId, Place>,
    /// Those that EDAS is at work on.
    pub busy: BTreeSet<FleetId>,
}

/// The application of a fleet, and where it is a part of one its deploy group.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub application: String,
    pub group: Option<String>,
}

/// Reads every deploy group that has instances.
///
/// # Errors
/// The call's fault.
pub(super) async fn read(
    client: &Client,
    service: Ecs<'_>,
    memory: &Memory,
    leeway: &Leeway,
) -> Result<Fleets, Fault> {
    let (spared, now) = (&memory.spared, clock::now());
    if let Some(known) = spared.fleets(leeway, now) {
        return Ok(known);
    }
    let application = &service.own.application;
    let read = async || {
        let read = parts(client, application).await?;
        spared.keep_parts(now, &read);
        Ok(read)
    };
    let (status, parts) = match spared.parts(leeway, now) {
        None => tokio::try_join!(edas::query_application_status(client, application), read())?,
        Some(known) => {
            let status = edas::query_application_status(client, application).await?;
            let homes = |ecc: &edas::Ecc| known.groups.iter().any(|group| group.group_id == ecc.group_id);
            let whole = status.ecc_list.all.iter().all(homes);
            (status, if whole { known } else { read().await? })
        }
    };
    let fleets = Box::pin(told(client, service, &memory.settings, leeway, (&status, &parts))).await?;
    spared.keep_fleets(now, &fleets);
    Ok(fleets)
}

async fn parts(client: &Client, application: &str) -> Result<Parts, Fault> {
    let (groups, recent) = tokio::try_join!(
        edas::list_deploy_group(client, application),
        edas::list_recent_change_order(client, application),
    )?;
    Ok(Parts { groups, recent })
}

/// What was read, as fleets.
async fn told(
    client: &Client,
    service: Ecs<'_>,
    settings: &Settings,
    leeway: &Leeway,
    (status, Parts { groups, recent }): (&Status, &Parts),
) -> Result<Fleets, Fault> {
    let application = &service.own.application;
    let full: Vec<_> = groups.iter().filter(|group| !standing(status, &group.group_id).is_empty()).collect();
    let (kept, unread) = settings.of(client, service, &full, leeway).await?;
    let mut fleets = Fleets { unread, ..Fleets::default() };
    fleets.unread.extend(kept.iter().flat_map(|kept| bound(&kept.application, groups, &service.own.pair)));
    for group in groups {
        let Ok(name) = FleetId::new(group.group_name.clone()) else { continue };
        let place = Place { application: application.clone(), group: Some(group.group_id.clone()) };
        if let Some(order) = place.running(recent) {
            if !leeway.urgent {
                settings.tell(client, &group.group_name, order).await;
            }
            fleets.busy.insert(name.clone());
        }
        fleets.places.insert(name, place);
    }
    for group in full {
        let Ok(name) = FleetId::new(group.group_name.clone()) else {
            fleets
                .unread
                .insert(format!("the deploy group {:?}, whose name cannot be shown", group.group_name));
            continue;
        };
        let newest = orders::newest(recent, &group.group_id).map(|order| (Progress::of(order), order));
        let failed = match newest {
            Some((Progress::Failed | Progress::Waiting, order)) => {
                Some(settings.why(client, order, leeway).await)
            }
            Some((Progress::Running | Progress::Done, _)) | None => None,
        };
        let seen = fleet(status, group, failed).map(|mut now| {
            // What is not known may be on.
            now.seen.scaling = kept.as_ref().map_or(Scaling::Active, |kept| kept.scaling(&group.group_id));
            now
        });
        fleets.all.insert(name, seen.map_or_else(Seen::Unknown, Seen::Known));
    }
    let homeless =
        status.ecc_list.all.iter().filter(|ecc| !groups.iter().any(|g| g.group_id == ecc.group_id));
    fleets
        .unread
        .extend(homeless.map(|ecc| format!("instance `{}`: in no deploy group that EDAS lists", ecc.ecc_id)));
    Ok(fleets)
}

impl Place {
    /// The fleet's newest change order, where it runs.
    pub fn running<'a>(&self, orders: &'a [ChangeOrder]) -> Option<&'a ChangeOrder> {
        let newest = match &self.group {
            Some(group) => orders::newest(orders, group),
            None => orders::newest_of(orders),
        };
        newest.filter(|order| Progress::of(order) == Progress::Running)
    }

    /// Whether EDAS is at work on the fleet now.
    ///
    /// # Errors
    /// The call's fault.
    pub async fn is_busy(
        &self,
        client: &Client,
        settings: &Settings,
        fleet: &FleetId,
    ) -> Result<bool, Fault> {
        let orders = edas::list_recent_change_order(client, &self.application).await?;
        let Some(order) = self.running(&orders) else { return Ok(false) };
        settings.tell(client, fleet.as_str(), order).await;
        Ok(true)
    }
}

fn standing<'a>(status: &'a Status, group: &str) -> Vec<&'a edas::Ecc> {
    status.ecc_list.all.iter().filter(|ecc| ecc.group_id == group).collect()
}

/// Whether an instance of EDAS runs on one of these hosts.
fn is_of(status: &Status, ecc: &edas::Ecc, hosts: &BTreeSet<InstanceId>) -> bool {
    let host = status.ecu_list.all.iter().find(|ecu| ecu.ecu_id == ecc.ecu_id);
    host.is_some_and(|host| hosts.iter().any(|own| own.as_str() == host.instance_id))
}

/// One deploy group as a fleet, or why it cannot be told.
fn fleet(status: &Status, group: &DeployGroup, failed: Option<String>) -> Result<FleetNow, String> {
    let name = &group.group_name;
    let hosts: BTreeMap<_, _> = status.ecu_list.all.iter().map(|ecu| (ecu.ecu_id.as_str(), ecu)).collect();
    let records = latest(status);
    let wanted = status.group_list.all.iter().find(|own| own.group_id == group.group_id);
    let wanted = wanted.and_then(|own| own.package_version_id.as_deref()).filter(|id| !id.is_empty());
    let mut members = BTreeMap::new();
    for ecc in standing(status, &group.group_id) {
        let host = hosts.get(ecc.ecu_id.as_str());
        let host = host.ok_or_else(|| format!("EDAS names no host of the instance `{}`", ecc.ecc_id))?;
        let id = InstanceId::new(host.instance_id.clone()).map_err(|bad| bad.to_string())?;
        let package =
            records.get(ecc.ecc_id.as_str()).and_then(|record| record.package_version_id.as_deref());
        let runs = ecc.app_state == Some(RUNNING) && wanted.is_some() && package == wanted;
        let state = if runs { InstanceState::Running } else { InstanceState::Pending };
        let addresses = host.ip_addr.clone().filter(|address| !address.is_empty()).into_iter().collect();
        members.insert(id, Member { addresses, state });
    }
    // What runs nothing yet has a revision all the same: one that nobody asks for.
    let version = group.package_version.as_deref().filter(|version| !version.is_empty()).unwrap_or("none");
    let revision = Revision::new(version).map_err(|bad| format!("the package of `{name}`: {bad}"))?;
    let listed = [&group.vserver_group_id, &group.ext_vserver_group_id];
    let listed = listed.into_iter().flatten().filter(|id| !id.is_empty());
    let attached: Result<_, _> = listed.map(|id| GroupId::new(id.clone())).collect();
    let seen = FleetSeen {
        revision,
        desired: u32::try_from(members.len()).unwrap_or(u32::MAX),
        instances: members.iter().map(|(id, member)| (id.clone(), member.state)).collect(),
        scaling: Scaling::Active,
        attached: attached.map_err(|bad| format!("a vServer group of `{name}`: {bad}"))?,
        failed,
    };
    Ok(FleetNow { group_id: group.group_id.clone(), seen, members })
}

/// The last package that each instance got.
fn latest(status: &Status) -> BTreeMap<&str, &Record> {
    let mut latest: BTreeMap<&str, &Record> = BTreeMap::new();
    for record in status.deploy_record_list.iter().flat_map(|list| &list.all) {
        let newer =
            latest.get(record.ecc_id.as_str()).is_none_or(|known| known.create_time <= record.create_time);
        if newer {
            latest.insert(&record.ecc_id, record);
        }
    }
    latest
}

/// Bindings by which EDAS itself puts green into production while it is scaled out, before anybody has judged it, and takes
/// nobody out again: it knows no call that unbinds one deploy group.
fn bound(application: &Application, groups: &[DeployGroup], pair: &[String; 2]) -> BTreeSet<String> {
    let given = |id: &Option<String>| id.clone().filter(|id| !id.is_empty());
    let mut whole: Vec<String> =
        [given(&application.slb_id), given(&application.ext_slb_id)].into_iter().flatten().collect();
    if whole.is_empty() && edas::tells_balancers(&application.slb_info) {
        whole.push("a load balancer".to_owned());
    }
    let own = |group: &DeployGroup| [given(&group.vserver_group_id), given(&group.ext_vserver_group_id)];
    let whole = whole.into_iter().map(|balancer| {
        format!(
            "where EDAS puts new instances: it binds `{balancer}` to the whole application, so green would take its \
             traffic while it is scaled out. Unbind it in EDAS, keeping its listeners (UnbindSlb with \
             DeleteListener=false), and declare its vServer groups here"
        )
    });
    let mut by_group: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for group in groups {
        for id in own(group).into_iter().flatten() {
            by_group.entry(id).or_default().push(&group.group_name);
        }
    }
    let is_ours = |names: &[&str]| names.iter().any(|name| pair.iter().any(|own| own == name));
    let ours = by_group.into_iter().filter(|(_, names)| is_ours(names)).map(|(id, names)| {
        format!(
            "where EDAS puts new instances: it binds the vServer group `{id}` to {}, so they would take its traffic \
             while they are scaled out, and nobody could take them out of it. Unbind it in EDAS and declare it here",
            names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" and ")
        )
    });
    whole.chain(ours).collect()
}

/// Begins the next step to the fleet, if none is on its way.
///
/// # Errors
/// [`FaultKind::Invalid`] where the fleet is none of the pair; [`FaultKind::Conflict`] where it does not rest, or EDAS is
/// busy with something else; [`FaultKind::Quota`] without enough idle hosts; [`FaultKind::Unexpected`] where nobody came;
/// the call's fault.
pub(super) async fn provision(
    site: Site<'_>,
    service: Ecs<'_>,
    fleet: &Fleet,
    token: &Token,
) -> Result<(), Fault> {
    let client = site.client;
    if !service.home.is_ours(&fleet.id) {
        let [one, two] = &service.own.pair;
        let message = format!("the fleet `{}` is none of the pair `{one}` and `{two}`", fleet.id);
        return Err(Fault::new(FaultKind::Invalid, "InsertDeployGroup", message));
    }
    let application = &service.own.application;
    // In this order: what is read after a change order that is over shows what it did.
    let orders = edas::list_recent_change_order(client, application).await?;
    let group = deploy_group(client, service, &fleet.id).await?;
    let turn = orders::turn(&orders, &group.group_id)?;
    if matches!(turn, Turn::Taken(_)) {
        return Ok(());
    }
    let status = edas::query_application_status(client, application).await?;
    let there = standing(&status, &group.group_id).len();
    if matches!(turn, Turn::Spoilt) && there > 0 {
        return Ok(()); // The next look shows the failure, and the rollout goes back.
    }
    let runs = group.package_version.as_deref() == Some(fleet.revision.as_str());
    let (part, is_empty) = (group.group_id.as_str(), there == 0);
    let tags = edas::list_tags(client, &service.home.spec.region, application).await?;
    let newest = orders::newest(&orders, part);
    claim(
        client,
        &Claim { home: service.home, application, part, fleet, token, is_empty, newest, tags: &tags },
    )
    .await?;
    if is_empty {
        // Held still when it went the last time, and never given back: it rested. Now it is this rollout's to hold still.
        freeze::give_back(client, service, part, &tags).await?;
        let others = status.ecu_list.all.iter().map(|host| host.instance_id.clone()).collect();
        let held = hold::noted(client, service, LetGo::Without(&others)).await?;
        hold::let_go(client, service, &held, token.as_str()).await?;
        weights::forget(site, &fleet.id).await?;
    }
    let missing = fleet.size.saturating_sub(u32::try_from(there).unwrap_or(u32::MAX));
    if missing > 0 {
        let work = grow(client, service, &group, missing);
        return orders::begun(client, (service.home, application), &orders, work).await;
    }
    if runs && is_installed(&status, &group) {
        return Ok(());
    }
    let url = service.own.package_of(&fleet.revision);
    let deployment = edas::Deployment {
        application,
        group: &group.group_id,
        version: fleet.revision.as_str(),
        url: &url,
        description: token.as_str(),
    };
    let work = edas::deploy(client, &deployment);
    orders::begun(client, (service.home, application), &orders, work).await
}

/// The fleet's deploy group. One that is not there is made.
async fn deploy_group(client: &Client, service: Ecs<'_>, fleet: &FleetId) -> Result<DeployGroup, Fault> {
    let application = &service.own.application;
    let find = async || {
        let groups = edas::list_deploy_group(client, application).await?;
        Ok::<_, Fault>(groups.into_iter().find(|group| group.group_name == fleet.as_str()))
    };
    if let Some(group) = find().await? {
        return Ok(group);
    }
    let (made, mut listed) = (edas::insert_deploy_group(client, application, fleet.as_str()).await, None);
    // One that an earlier try made need not be listed yet, and cannot be made twice.
    let refused = |fault: &Fault| {
        matches!(fault.kind, FaultKind::Conflict | FaultKind::Invalid | FaultKind::Unexpected)
    };
    if made.as_ref().err().is_none_or(refused) {
        listed = found(service.home, find).await?;
    }
    if listed.is_none() {
        made?;
    }
    listed.ok_or_else(|| Fault::new(FaultKind::Conflict, "InsertDeployGroup", "EDAS does not list it yet"))
}

/// Whether every instance of the group got the group's package.
fn is_installed(status: &Status, group: &DeployGroup) -> bool {
    let wanted = status.group_list.all.iter().find(|own| own.group_id == group.group_id);
    let wanted = wanted.and_then(|own| own.package_version_id.as_deref());
    let records = latest(status);
    standing(status, &group.group_id).into_iter().all(|ecc| {
        let got = records.get(ecc.ecc_id.as_str()).and_then(|record| record.package_version_id.as_deref());
        wanted.is_some() && got == wanted
    })
}

/// What is to become green, for which revision, and in which rollout.
pub(super) struct Claim<'a> {
    pub home: &'a Home,
    /// The application that bears the tag.
    pub application: &'a str,
    /// The deploy group, or the application itself.
    pub part: &'a str,
    pub fleet: &'a Fleet,
    /// Names the change, and by all but its count the rollout.
    pub token: &'a Token,
    /// Whether it has no instances.
    pub is_empty: bool,
    /// Its last change order. None of it is open.
    pub newest: Option<&'a ChangeOrder>,
    /// What the application is tagged with.
    pub tags: &'a [Tag],
}

/// What the tag says, in the signs that a tag's value may have: a revision, the rollout that took the fleet while it was
/// empty, and the last change order before that. Each is a digest.
#[derive(Debug, PartialEq, Eq)]
struct Note<'a> {
    revision: &'a str,
    /// Earlier versions noted the revision alone.
    taken: Option<(&'a str, &'a str)>,
}

impl<'a> Note<'a> {
    fn read(text: &'a str) -> Self {
        let (revision, rest) = text.split_once(',').map_or((text, None), |(own, rest)| (own, Some(rest)));
        Self { revision, taken: rest.and_then(|rest| rest.split_once(',')) }
    }
}

/// What is empty is taken for the revision; what is not must have been taken for it.
///
/// # Errors
/// [`FaultKind::Conflict`] where it was not; [`FaultKind::Unexpected`] where it is still empty, and what this rollout began to
/// fill it with has failed: to begin it again would overrule whoever aborted it, and may buy what never comes; the call's
/// fault.
pub(super) async fn claim(client: &Client, claim: &Claim<'_>) -> Result<(), Fault> {
    let (region, key) = (&claim.home.spec.region, filling_key(claim.part));
    let [revision, rollout] = [claim.fleet.revision.as_str(), stem(claim.token.as_str())].map(digest);
    let noted = claim.tags.iter().find(|tag| tag.tag_key == key).and_then(|tag| tag.tag_value.as_deref());
    let note = Note::read(noted.unwrap_or_default());
    if !claim.is_empty {
        return if note.revision == revision { Ok(()) } else { Err(restless(claim)) };
    }
    if let Some((_, before)) = note.taken.filter(|(by, _)| *by == rollout) {
        return unspoilt(client, claim, before).await;
    }
    // Whatever failed there before is nothing to this rollout.
    let value = format!("{revision},{rollout},{}", mark(claim.newest));
    edas::tag(client, region, claim.application, (&key, &value)).await?;
    // Who does not read it when what is begun now has failed takes that for an earlier rollout's.
    shown(claim.home, async || {
        let tags = edas::list_tags(client, region, claim.application).await?;
        Ok(tags.iter().any(|tag| tag.tag_key == key && tag.tag_value.as_ref() == Some(&value)))
    })
    .await
}

/// Refuses what has failed since this rollout took the empty fleet, when that other change order was the last.
async fn unspoilt(client: &Client, claim: &Claim<'_>, before: &str) -> Result<(), Fault> {
    let failed = claim.newest.filter(|order| Progress::of(order) == Progress::Failed);
    let Some(order) = failed.filter(|order| mark(Some(order)) != before) else { return Ok(()) };
    let message = format!("`{}` stays empty: {}", claim.fleet.id, orders::why(client, order).await);
    Err(Fault::new(FaultKind::Unexpected, "ListRecentChangeOrder", message))
}

fn restless(claim: &Claim<'_>) -> Fault {
    let message = format!(
        "`{}` is to become green and does not rest: it has instances that were not put there for `{}`. Scale it in \
         once nothing needs it",
        claim.fleet.id, claim.fleet.revision
    );
    Fault::new(FaultKind::Conflict, "ListDeployGroup", message)
}

/// The key of the tag that says what a fleet is filled with.
pub(super) fn filling_key(part: &str) -> String {
    format!("{FILLING}{part}")
}

/// The part of a token that all tokens of a rollout share, resumed or not: they end in a count.
fn stem(token: &str) -> &str {
    token.rsplit_once('-').map_or(token, |(stem, _)| stem)
}

/// A change order in a note.
fn mark(order: Option<&ChangeOrder>) -> String {
    order.map_or_else(|| "none".to_owned(), |order| digest(&order.change_order_id))
}

/// What tells one text from another.
fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().take(8).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Gives the group more instances.
async fn grow(client: &Client, service: Ecs<'_>, group: &DeployGroup, missing: u32) -> Result<(), Fault> {
    match &service.own.hosts {
        Hosts::Template { id: template, version } => {
            let (application, template) = (&service.own.application, (template.as_str(), version.as_deref()));
            edas::scale_out_with_new_instances(client, application, &group.group_id, missing, template).await
        }
        Hosts::Idle => hosts::give(client, service, group, missing).await,
    }
}

/// The ECS ids of a fleet's instances; none of one that is not there.
///
/// # Errors
/// The call's fault.
pub(super) async fn instances(
    client: &Client,
    service: Ecs<'_>,
    fleet: &FleetId,
) -> Result<Vec<String>, Fault> {
    let status = edas::query_application_status(client, &service.own.application).await?;
    let group = status.group_list.all.iter().find(|group| group.group_name == fleet.as_str());
    let Some(group) = group else { return Ok(Vec::new()) };
    let hosts: BTreeMap<_, _> =
        status.ecu_list.all.iter().map(|ecu| (&ecu.ecu_id, &ecu.instance_id)).collect();
    let own = standing(&status, &group.group_id).into_iter();
    Ok(own.filter_map(|ecc| hosts.get(&ecc.ecu_id).map(|id| (*id).clone())).collect())
}

/// Takes every instance out of a fleet that carries nothing any more. The deploy group stays, to rest. `clear` is done once
/// nothing but the order itself can keep the fleet.
///
/// # Errors
/// [`FaultKind::Conflict`] while EDAS is busy with something else, of this fleet too; the call's fault.
pub(super) async fn empty_out(
    client: &Client,
    service: Ecs<'_>,
    (fleet, searched): (&FleetId, &BTreeSet<InstanceId>),
    clear: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    let application = &service.own.application;
    let orders = edas::list_recent_change_order(client, application).await?;
    let groups = edas::list_deploy_group(client, application).await?;
    let Some(group) = groups.into_iter().find(|group| group.group_name == fleet.as_str()) else {
        return Ok(());
    };
    if let Turn::Taken(order) = orders::turn(&orders, &group.group_id)? {
        // Ours, or as good: whoever is left when it is over is asked to go then.
        return if orders::takes_away(&order) { Ok(()) } else { Err(orders::in_the_way(&order, fleet)) };
    }
    let status = edas::query_application_status(client, application).await?;
    let standing = standing(&status, &group.group_id);
    if let Some(ecc) = standing.iter().find(|ecc| !is_of(&status, ecc, searched)) {
        let message = format!(
            "the fleet `{fleet}` stays: nobody has searched where `{}` stands, which came into it just now",
            ecc.ecc_id
        );
        return Err(Fault::new(FaultKind::Conflict, "ScaleInApplication", message));
    }
    let eccs: Vec<&str> = standing.into_iter().map(|ecc| ecc.ecc_id.as_str()).collect();
    // For other operations of EDAS an empty list means everybody.
    if eccs.is_empty() {
        return Ok(());
    }
    clear.await?;
    let work = edas::scale_in(client, application, &eccs);
    orders::begun(client, (service.home, application), &orders, work).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(package: &str, records: &[(&str, &str, i64)]) -> Status {
        let records: Vec<_> = records
            .iter()
            .map(|(ecc, package, at)| json!({ "EccId": ecc, "PackageVersionId": package, "CreateTime": at }))
            .collect();
        serde_json::from_value(json!({
            "GroupList": { "Group": [{ "GroupId": "g-1", "GroupName": "blue", "PackageVersionId": package }] },
            "EccList": { "Ecc": [
                { "EccId": "c-1", "EcuId": "u-1", "GroupId": "g-1", "AppState": 7 },
                { "EccId": "c-2", "EcuId": "u-2", "GroupId": "g-1", "AppState": 1 },
            ] },
            "EcuList": { "Ecu": [
                { "EcuId": "u-1", "InstanceId": "i-1", "IpAddr": "10.0.0.1" },
                { "EcuId": "u-2", "InstanceId": "i-2", "IpAddr": "" },
            ] },
            "DeployRecordList": { "DeployRecord": records },
        }))
        .unwrap()
    }

    fn group(version: &str) -> DeployGroup {
        let text =
            json!({ "GroupId": "g-1", "GroupName": "blue", "PackageVersion": version, "VServerGroupId": "" });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn an_instance_runs_when_it_is_up_with_the_package_of_its_group_and_not_before() {
        let instance = |id: &str| InstanceId::new(id).unwrap();
        let seen =
            fleet(&status("p-2", &[("c-1", "p-1", 1), ("c-1", "p-2", 2)]), &group("2.0.0"), None).unwrap();
        assert_eq!(seen.members[&instance("i-1")].state, InstanceState::Running);
        assert_eq!(seen.members[&instance("i-2")].state, InstanceState::Pending);
        assert_eq!((seen.seen.desired, seen.seen.revision.as_str()), (2, "2.0.0"));
        // Another package than its group's, or none that is known.
        for records in [&[("c-1", "p-2", 1), ("c-1", "p-1", 2)][..], &[]] {
            let seen = fleet(&status("p-2", records), &group("2.0.0"), None).unwrap();
            assert_eq!(seen.members[&instance("i-1")].state, InstanceState::Pending);
        }
    }

    #[test]
    fn a_fleet_with_an_instance_whose_host_is_not_named_is_unknown() {
        let mut status = status("p-1", &[]);
        status.ecu_list.all.pop();
        assert!(fleet(&status, &group("1"), None).unwrap_err().contains("c-2"));
    }

    #[test]
    fn an_answer_that_lacks_a_list_is_no_empty_one() {
        let short = json!({ "GroupList": { "Group": [] }, "EcuList": { "Ecu": [] } });
        assert!(serde_json::from_value::<Status>(short).is_err());
    }

    #[test]
    fn a_note_of_an_earlier_version_names_a_revision_and_no_rollout() {
        assert_eq!(Note::read("9f86d081"), Note { revision: "9f86d081", taken: None });
        assert_eq!(Note::read("9f86d081,a1,b2"), Note { revision: "9f86d081", taken: Some(("a1", "b2")) });
        assert_eq!(Note::read(""), Note { revision: "", taken: None });
        assert_eq!(stem("api-prod-7-nonce-1.0"), stem("api-prod-7-nonce-12.3"));
        assert_ne!(stem("api-prod-7-nonce-1.0"), stem("api-prod-8-nonce-1.0"));
    }

    #[test]
    fn a_binding_that_would_put_green_into_production_by_itself_is_told() {
        let bare = |info| Application { slb_id: Some(String::new()), ext_slb_id: None, slb_info: info };
        let pair = ["blue", "green"].map(str::to_owned);
        let two = |one: &str, other: &str| {
            [("blue", one), ("green", other)].map(|(name, id)| {
                let text = json!({ "GroupId": name, "GroupName": name, "VServerGroupId": id });
                serde_json::from_value::<DeployGroup>(text).unwrap()
            })
        };
        let told = |app: &Application, groups: &[DeployGroup]| bound(app, groups, &pair);
        for nothing in [json!(null), json!(""), json!("[]"), json!({})] {
            assert!(told(&bare(nothing), &two("", "")).is_empty());
        }
        assert_eq!(told(&bare(json!(null)), &two("rsp-1", "rsp-2")).len(), 2, "each colour has its own");
        assert_eq!(told(&bare(json!(null)), &two("rsp-1", "rsp-1")).len(), 1);
        assert_eq!(told(&bare(json!(null)), &two("", "rsp-2")).len(), 1, "of the one that rests");
        let others = ["red", "grey"].map(str::to_owned);
        assert!(bound(&bare(json!(null)), &two("rsp-1", "rsp-1"), &others).is_empty(), "not ours");
        let whole = Application { slb_id: Some("lb-1".into()), ..bare(json!("[{\"SlbId\":\"lb-2\"}]")) };
        assert!(told(&whole, &two("", "")).iter().any(|why| why.contains("lb-1")));
        let only_told = bare(json!("[{\"SlbId\":\"lb-2\"}]"));
        assert!(told(&only_told, &two("", "")).iter().any(|why| why.contains("a load balancer")));
    }

    #[test]
    fn an_instance_that_came_after_the_search_is_none_of_those_that_were_searched() {
        let status = status("p-1", &[]);
        let [one, two] = &status.ecc_list.all[..] else { panic!("{status:?}") };
        let searched = BTreeSet::from([InstanceId::new("i-1").unwrap()]);
        assert!(is_of(&status, one, &searched));
        assert!(!is_of(&status, two, &searched));
        assert!(!is_of(&status, one, &BTreeSet::new()));
        let mut hostless = self::status("p-1", &[]);
        hostless.ecu_list.all.clear();
        assert!(!is_of(&hostless, one, &searched));
    }
}
