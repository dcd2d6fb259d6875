//! What a supervisor holds, and every change to it. A change is answered only after it is on disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::TcpListener as StdListener;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::group::{Drain, Group};
use super::instance::{self, Place};
use super::paths::Paths;
use super::protocol::Provision;
use super::state::{Birth, FleetSettings, GroupSettings, State, StoredFleet, TOKENS_MAX};
use super::target::Target;
use super::{fault, health, logs, process, proxy};
use crate::cloud::clock;
use crate::cloud::{Change, Fault, FaultKind};
use crate::model::{FleetId, GroupId, InstanceId, Share, Time, Token};

/// Instances of one fleet on one host.
const SIZE_MAX: u32 = 256;
/// Between two looks at what is in flight to a draining fleet.
const DRAIN_PACE: Duration = Duration::from_millis(20);
/// Between two looks at whether a fleet has ended.
const END_PACE: Duration = Duration::from_millis(20);
/// How long the end of a fleet may take in all: the grace of its instances, and something for the system.
const END_MAX: Duration = Duration::from_secs(20);
/// Between two tries to listen where something else does.
const LISTEN_PACE: Duration = Duration::from_secs(1);

/// Locks, whatever happened to an earlier holder: what is guarded here is whole between any two statements.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that a supervisor holds.
#[derive(Debug)]
pub(super) struct World {
    pub(super) paths: Paths,
    pub(super) held: Mutex<Held>,
    /// One change at a time.
    turn: tokio::sync::Mutex<()>,
    /// One writer at a time, each with what is true when its turn comes.
    saving: tokio::sync::Mutex<Writing>,
}

/// Whether the state may still be written: an instance that is told of late must not bring it back.
#[derive(Debug, Default, PartialEq, Eq)]
enum Writing {
    #[default]
    Open,
    Over,
}

/// What changes.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) fleets: BTreeMap<FleetId, FleetRun>,
    pub(super) groups: BTreeMap<GroupId, Arc<Group>>,
    tokens: VecDeque<Token>,
    stopping: bool,
}

/// A fleet that runs, or is ending.
#[derive(Debug)]
pub(super) struct FleetRun {
    pub(super) settings: FleetSettings,
    pub(super) leaving: bool,
    pub(super) slots: BTreeMap<InstanceId, Slot>,
}

/// The place of one instance: its name stays, the process in it may be replaced.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) birth: Option<Birth>,
    pub(super) leaving: bool,
    pub(super) restarts: u32,
    pub(super) reason: Option<String>,
    pub(super) since: Time,
    stop: watch::Sender<bool>,
}

impl World {
    pub(super) fn new(paths: Paths) -> Arc<Self> {
        Arc::new(Self {
            paths,
            held: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            saving: tokio::sync::Mutex::default(),
        })
    }

    /// Takes up what an earlier supervisor held: processes that still live go on as they are.
    pub(super) fn restore(self: &Arc<Self>, state: State) {
        let mut held = lock(&self.held);
        held.tokens = state.tokens;
        for (id, stored) in state.groups {
            let group = Group::new(id.clone(), stored.settings);
            stored.shares.keys().for_each(|fleet| group.register(fleet));
            group.share_out(&stored.shares);
            held.groups.insert(id, Arc::clone(&group));
            tokio::spawn(listen_again(group));
        }
        for (id, stored) in state.fleets {
            let run = FleetRun { settings: stored.settings, leaving: stored.leaving, slots: BTreeMap::new() };
            held.fleets.insert(id.clone(), run);
            let names = held.fleets[&id].names(&id).into_iter().chain(stored.instances.keys().cloned());
            for name in names.collect::<BTreeSet<_>>() {
                let adopted = stored.instances.get(&name).filter(|birth| process::lives(birth)).cloned();
                self.occupy(&mut held, &id, &name, adopted);
            }
            if stored.leaving {
                tokio::spawn(Arc::clone(self).finish(id));
            }
        }
    }

    /// Makes the slot of an instance, and sets its keeper to work.
    fn occupy(self: &Arc<Self>, held: &mut Held, fleet: &FleetId, name: &InstanceId, adopted: Option<Birth>) {
        let Some(run) = held.fleets.get_mut(fleet) else { return };
        let (stop, stopped) = watch::channel(run.leaving);
        let slot =
            Slot { birth: None, leaving: run.leaving, restarts: 0, reason: None, since: clock::now(), stop };
        run.slots.insert(name.clone(), slot);
        let place = Place {
            fleet: fleet.clone(),
            name: name.clone(),
            settings: run.settings.clone(),
            log: self.paths.log(name.as_str()),
        };
        tokio::spawn(instance::keep(Arc::clone(self), place, adopted, stopped));
    }

    /// Makes a change once; under a token that was seen before it does nothing.
    pub(super) async fn change(self: &Arc<Self>, change: &Change, token: &Token) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        if self.is_done(token)? {
            return Ok(());
        }
        match change {
            Change::Provision { .. } => {
                return Err(invalid("Provision", "a fleet is provisioned with its command"));
            }
            Change::Register { fleet, groups } => self.register(fleet, groups)?,
            Change::Shift { group, to, from, share } => self.shift(group, to, from.as_ref(), *share)?,
            Change::Deregister { fleet, groups } => self.deregister(fleet, groups),
            // The size of a local fleet never changes by itself.
            Change::Freeze { .. } | Change::Thaw { .. } => {}
        }
        self.done(token).await
    }

    /// Whether the token was seen before; an error where nothing may be changed any more.
    fn is_done(&self, token: &Token) -> Result<bool, Fault> {
        let held = lock(&self.held);
        if held.stopping {
            return Err(fault::unreachable("Change", "it is stopping"));
        }
        Ok(held.tokens.contains(token))
    }

    async fn done(&self, token: &Token) -> Result<(), Fault> {
        {
            let mut held = lock(&self.held);
            held.tokens.push_back(token.clone());
            let surplus = held.tokens.len().saturating_sub(TOKENS_MAX);
            held.tokens.drain(..surplus);
        }
        self.save().await.map_err(Fault::ambiguous)
    }

    /// Writes what is held now.
    pub(super) async fn save(&self) -> Result<(), Fault> {
        let writing = self.saving.lock().await;
        if *writing == Writing::Over {
            return Ok(());
        }
        let (state, path) = (self.state(), self.paths.state());
        let written = tokio::task::spawn_blocking(move || state.save(&path)).await;
        written.unwrap_or_else(|e| Err(fault::refused(FaultKind::Unexpected, "WriteState", e.to_string())))
    }

    /// Removes the state, and writes none again.
    pub(super) async fn forget(&self) -> Result<(), Fault> {
        let mut writing = self.saving.lock().await;
        *writing = Writing::Over;
        let path = self.paths.state();
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(fault::file("Stop", &path, &error))
            }
            _ => Ok(()),
        }
    }

    fn state(&self) -> State {
        let held = lock(&self.held);
        let mut state = State::default();
        for (id, run) in &held.fleets {
            let instances = run
                .slots
                .iter()
                .filter_map(|(name, slot)| Some((name.clone(), slot.birth.clone()?)))
                .collect();
            let fleet = StoredFleet { settings: run.settings.clone(), leaving: run.leaving, instances };
            state.fleets.insert(id.clone(), fleet);
        }
        state.groups = held.groups.iter().map(|(id, group)| (id.clone(), group.stored())).collect();
        state.tokens.clone_from(&held.tokens);
        state
    }

    /// Makes a fleet, after every group that its file declares listens.
    pub(super) async fn provision(self: &Arc<Self>, asked: Provision, token: &Token) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        if self.is_done(token)? {
            return Ok(());
        }
        self.admit(&asked)?;
        let listeners = self.bind(&asked.groups)?;
        self.open(asked.groups, listeners);
        let surplus = self.fill(&asked.fleet, asked.settings);
        for name in surplus {
            self.end(&asked.fleet, &name);
        }
        self.done(token).await
    }

    /// Whether the fleet may be made, or is there already.
    fn admit(&self, asked: &Provision) -> Result<(), Fault> {
        let (fleet, size) = (&asked.fleet, asked.settings.size);
        if asked.settings.command.is_empty() {
            return Err(invalid("Provision", "the command is empty"));
        }
        if size == 0 || size > SIZE_MAX {
            return Err(invalid("Provision", &format!("a fleet has 1 to {SIZE_MAX} instances, not {size}")));
        }
        if InstanceId::new(format!("{fleet}-{size}:65535")).is_err() {
            return Err(invalid("Provision", &format!("`{fleet}` is too long to name instances after")));
        }
        let conflict = |why: String| Err(Fault::new(FaultKind::Conflict, "Provision", why));
        match lock(&self.held).fleets.get(fleet) {
            Some(run) if run.leaving => conflict(format!("fleet `{fleet}` is being retired")),
            Some(run) if run.settings.revision != asked.settings.revision => {
                conflict(format!("fleet `{fleet}` exists with revision {}", run.settings.revision))
            }
            Some(run) if run.settings.service != asked.settings.service => {
                conflict(format!("fleet `{fleet}` belongs to service `{}`", run.settings.service))
            }
            None | Some(_) => Ok(()),
        }
    }

    /// Takes the address of every group that is not served there yet: all of them, or none.
    fn bind(
        &self,
        groups: &BTreeMap<GroupId, GroupSettings>,
    ) -> Result<BTreeMap<GroupId, TcpListener>, Fault> {
        let mut listeners = BTreeMap::new();
        for (id, settings) in groups {
            let known = lock(&self.held).groups.get(id).cloned();
            let moved = known.as_ref().filter(|group| group.settings().listen != settings.listen);
            if let Some(group) = moved.filter(|group| !group.fleets().is_empty()) {
                let at = group.settings().listen;
                let why = format!(
                    "group `{id}` is served at {at}, and moving it to {} would leave those who call it there without an answer",
                    settings.listen
                );
                return Err(invalid("Listen", &why));
            }
            let served = moved.is_none() && known.is_some_and(|group| group.dark().is_none());
            if !served {
                listeners.insert(id.clone(), bind(id, settings)?);
            }
        }
        Ok(listeners)
    }

    fn open(&self, groups: BTreeMap<GroupId, GroupSettings>, mut listeners: BTreeMap<GroupId, TcpListener>) {
        let mut held = lock(&self.held);
        for (id, settings) in groups {
            let fresh = || Group::new(id.clone(), settings.clone());
            let group = Arc::clone(held.groups.entry(id.clone()).or_insert_with(fresh));
            group.set_settings(settings);
            if let Some(listener) = listeners.remove(&id) {
                serve(&group, listener);
            }
        }
    }

    /// Makes the fleet and the instances that it lacks; names those that it has too many of. What an existing fleet
    /// runs is not changed: it is the same revision.
    fn fill(self: &Arc<Self>, fleet: &FleetId, settings: FleetSettings) -> Vec<InstanceId> {
        let mut held = lock(&self.held);
        let size = settings.size;
        let fresh = || FleetRun { settings, leaving: false, slots: BTreeMap::new() };
        let run = held.fleets.entry(fleet.clone()).or_insert_with(fresh);
        run.settings.size = size;
        let names = run.names(fleet);
        let surplus = run.slots.keys().filter(|name| !names.contains(name)).cloned().collect();
        let missing: Vec<_> = names.into_iter().filter(|name| !run.slots.contains_key(name)).collect();
        for name in missing {
            self.occupy(&mut held, fleet, &name, None);
        }
        surplus
    }

    fn register(&self, fleet: &FleetId, groups: &BTreeSet<GroupId>) -> Result<(), Fault> {
        let held = lock(&self.held);
        let run = held.fleets.get(fleet).filter(|run| !run.leaving);
        let run = run.ok_or_else(|| missing("Register", &format!("fleet `{fleet}` does not exist")))?;
        let unknown: Vec<_> = groups.iter().filter(|id| !held.groups.contains_key(id)).collect();
        if !unknown.is_empty() {
            return Err(missing("Register", &format!("there is no such group: {unknown:?}")));
        }
        for group in groups.iter().filter_map(|id| held.groups.get(id)) {
            group.register(fleet);
            for (name, slot) in run.slots.iter().filter(|(_, slot)| !slot.leaving) {
                let target = slot.birth.as_ref().and_then(|birth| group.add(fleet, name, birth));
                if let Some(target) = target {
                    health::watch(group, &target);
                }
            }
        }
        Ok(())
    }

    fn shift(&self, id: &GroupId, to: &FleetId, from: Option<&FleetId>, share: Share) -> Result<(), Fault> {
        let held = lock(&self.held);
        let group = held.groups.get(id);
        let group = group.ok_or_else(|| missing("Shift", &format!("group `{id}` does not exist")))?;
        let mut shares = BTreeMap::from([(to.clone(), share)]);
        match from {
            Some(from) => drop(shares.insert(from.clone(), share.rest())),
            None if share == Share::ALL || share == Share::NONE => {}
            None => {
                let why = format!("nobody is named for the other {} of group `{id}`", share.rest());
                return Err(invalid("Shift", &why));
            }
        }
        let stranger = shares.iter().find(|(fleet, share)| **share > Share::NONE && !group.is_member(fleet));
        if let Some((fleet, share)) = stranger {
            let why =
                format!("fleet `{fleet}` is not registered in group `{id}` and cannot carry {share} of it");
            return Err(missing("Shift", &why));
        }
        group.share_out(&shares);
        Ok(())
    }

    fn deregister(&self, fleet: &FleetId, groups: &BTreeSet<GroupId>) {
        let held = lock(&self.held);
        for group in groups.iter().filter_map(|id| held.groups.get(id)) {
            if let Some(drain) = group.drain(fleet) {
                tokio::spawn(finish_drain(Arc::clone(group), drain));
            }
        }
    }

    /// Ends a fleet for good, and answers when its last process is gone.
    pub(super) async fn retire(self: &Arc<Self>, fleet: &FleetId, token: &Token) -> Result<(), Fault> {
        {
            let _turn = self.turn.lock().await;
            if self.is_done(token)? {
                return Ok(());
            }
            let begun =
                lock(&self.held).fleets.get_mut(fleet).map(|run| std::mem::replace(&mut run.leaving, true));
            if begun == Some(false) {
                self.save().await.map_err(Fault::ambiguous)?;
                tokio::spawn(Arc::clone(self).finish(fleet.clone()));
            }
        }
        let gone = async {
            while lock(&self.held).fleets.contains_key(fleet) {
                sleep(END_PACE).await;
            }
        };
        timeout(END_MAX, gone).await.map_err(|_| {
            let why = format!("fleet `{fleet}` has not ended after {} s", END_MAX.as_secs());
            Fault::new(FaultKind::Unexpected, "Retire", why).ambiguous()
        })?;
        self.done(token).await
    }

    /// Takes the fleet out of every group, ends its processes, and forgets it.
    async fn finish(self: Arc<Self>, fleet: FleetId) {
        let (targets, names) = {
            let held = lock(&self.held);
            let targets: Vec<_> = held.groups.values().flat_map(|group| group.leave(&fleet)).collect();
            let names = held.fleets.get(&fleet).map(|run| run.slots.keys().cloned().collect::<Vec<_>>());
            (targets, names.unwrap_or_default())
        };
        for name in &names {
            self.end(&fleet, name);
        }
        while lock(&self.held).forget(&fleet).is_none() {
            sleep(END_PACE).await;
        }
        for target in &targets {
            target.cut();
        }
        if let Err(error) = self.save().await {
            logs::say(&format!("fleet `{fleet}` has ended, and that could not be written: {error}"));
        }
    }

    /// Takes one instance out of every group, and tells its keeper to end it.
    fn end(&self, fleet: &FleetId, name: &InstanceId) {
        let mut held = lock(&self.held);
        for group in held.groups.values() {
            group.remove(name); // Cut when the process is gone, so that it may finish what it does.
        }
        if let Some(slot) = held.fleets.get_mut(fleet).and_then(|run| run.slots.get_mut(name)) {
            slot.leaving = true;
            slot.since = clock::now();
            slot.stop.send_replace(true);
        }
    }

    /// Ends every fleet, and takes no more changes.
    pub(super) async fn stop(self: &Arc<Self>) -> Result<(), Fault> {
        let _turn = self.turn.lock().await;
        let fleets: Vec<_> = {
            let mut held = lock(&self.held);
            held.stopping = true;
            held.fleets.values_mut().for_each(|run| run.leaving = true);
            held.fleets.keys().cloned().collect()
        };
        let ends = fleets.into_iter().map(|fleet| Arc::clone(self).finish(fleet));
        let all = futures_util::future::join_all(ends);
        timeout(END_MAX, all).await.map_err(|_| {
            Fault::new(FaultKind::Unexpected, "Stop", "not every instance has ended").ambiguous()
        })?;
        Ok(())
    }

    /// Whether a port is taken by one of ours.
    pub(super) fn uses(&self, port: u16) -> bool {
        let held = lock(&self.held);
        let mut births =
            held.fleets.values().flat_map(|run| run.slots.values()).filter_map(|s| s.birth.as_ref());
        births.any(|birth| birth.port == port)
    }

    /// An instance is up: it stands in every group of its fleet.
    pub(super) async fn born(&self, place: &Place, birth: &Birth) {
        {
            let mut held = lock(&self.held);
            let Some(slot) = held.slot(place) else { return };
            slot.birth = Some(birth.clone());
            slot.since = clock::now();
            let stays = !slot.leaving;
            for group in held.groups.values().filter(|_| stays) {
                let target = group.add(&place.fleet, &place.name, birth);
                if let Some(target) = target {
                    health::watch(group, &target);
                }
            }
        }
        self.save_or_say().await;
    }

    /// An instance has ended, or could not be started.
    pub(super) async fn died(&self, place: &Place, reason: &str) {
        {
            let mut held = lock(&self.held);
            let gone: Vec<Arc<Target>> =
                held.groups.values().flat_map(|group| group.remove(&place.name)).collect();
            for target in &gone {
                target.cut();
            }
            let Some(slot) = held.slot(place) else { return };
            slot.birth = None;
            slot.since = clock::now();
            slot.restarts = slot.restarts.saturating_add(1);
            slot.reason = Some(reason.to_owned());
        }
        self.save_or_say().await;
    }

    /// An instance was ended as it was told.
    pub(super) async fn gone(&self, place: &Place) {
        {
            let mut held = lock(&self.held);
            if let Some(run) = held.fleets.get_mut(&place.fleet) {
                run.slots.remove(&place.name);
            }
            held.forget(&place.fleet);
        }
        self.save_or_say().await;
    }

    async fn save_or_say(&self) {
        if let Err(error) = self.save().await {
            logs::say(&format!("failed to write the state: {error}"));
        }
    }
}

impl Held {
    /// Drops a leaving fleet with its last instance, in one step: nobody ever sees a fleet that is gone but named.
    fn forget(&mut self, fleet: &FleetId) -> Option<()> {
        match self.fleets.get(fleet) {
            Some(run) if !run.leaving || !run.slots.is_empty() => None,
            _ => {
                self.fleets.remove(fleet);
                Some(())
            }
        }
    }

    fn slot(&mut self, place: &Place) -> Option<&mut Slot> {
        self.fleets.get_mut(&place.fleet).and_then(|run| run.slots.get_mut(&place.name))
    }
}

impl FleetRun {
    /// The instances that it should have.
    fn names(&self, fleet: &FleetId) -> BTreeSet<InstanceId> {
        let count = if self.leaving { 0 } else { self.settings.size };
        (1..=count).filter_map(|n| InstanceId::new(format!("{fleet}-{n}")).ok()).collect()
    }
}

fn bind(id: &GroupId, settings: &GroupSettings) -> Result<TcpListener, Fault> {
    let listener = StdListener::bind(settings.listen).and_then(|listener| {
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    });
    listener.map_err(|error| {
        // Whoever holds the port will not let go because we ask again: a person has to know at once.
        let (kind, why) = match error.kind() {
            std::io::ErrorKind::AddrInUse => (FaultKind::Denied, "something else listens there".to_owned()),
            std::io::ErrorKind::PermissionDenied => (FaultKind::Denied, error.to_string()),
            _ => (FaultKind::Invalid, error.to_string()),
        };
        Fault::new(kind, "Listen", format!("group `{id}` cannot listen on {}: {why}", settings.listen))
    })
}

fn serve(group: &Arc<Group>, listener: TcpListener) {
    group.listens(tokio::spawn(proxy::serve(listener, Arc::clone(group))).abort_handle());
}

/// Serves a group of an earlier supervisor; while something else has its address, it is dark, and says so.
async fn listen_again(group: Arc<Group>) {
    loop {
        match bind(&group.id, &group.settings()) {
            Ok(listener) => return serve(&group, listener),
            Err(error) => group.is_dark(error.message),
        }
        sleep(LISTEN_PACE).await;
        if group.dark().is_none() {
            return; // A provision was faster.
        }
    }
}

/// Waits until nothing is in flight, or the group's delay is over.
async fn finish_drain(group: Arc<Group>, drain: Drain) {
    let idle = async {
        while group.draining(&drain).is_some_and(|in_flight| in_flight > 0) {
            sleep(DRAIN_PACE).await;
        }
    };
    let delay = group.settings().deregistration_delay;
    let _ = timeout(delay.into(), idle).await; // Either way it is over now.
    group.drained(&drain);
}

fn invalid(action: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Invalid, action, why)
}

fn missing(action: &str, why: &str) -> Fault {
    Fault::new(FaultKind::Missing, action, why)
}
