//! Change orders: what EDAS does to the instances of an application, batch after batch, as time goes by.

use super::groups::Asked;
use super::world::{Ms, World};

/// Stages of a batch; each takes [`super::Settings::step`].
pub const STAGES: [&str; 3] = ["Process before change", "Change of instances", "Process after change"];
/// What is still going on: ready, running, or waiting for its next batch.
const GOING: [u8; 4] = [0, 1, 8, 9];

/// What an order is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ScaleOut,
    ScaleIn,
    Deploy,
    Rollback,
    Start,
    Stop,
    Restart,
    Reset,
    ChangeGroup,
    BindSlb,
}

impl Kind {
    /// Its code and its name.
    pub fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::ScaleOut => ("CoScaleOut", "Scale Out Application"),
            Self::ScaleIn => ("CoScaleIn", "Scale In Application"),
            Self::Deploy => ("CoDeploy", "Deploy Application"),
            Self::Rollback => ("CoRollback", "Roll Back Application"),
            Self::Start => ("CoStart", "Start Application"),
            Self::Stop => ("CoStop", "Stop Application"),
            Self::Restart => ("CoRestart", "Restart Application"),
            Self::Reset => ("CoReset", "Reset Application"),
            Self::ChangeGroup => ("CoChangeGroup", "Change Instance Group"),
            Self::BindSlb => ("CoBindSlb", "Bind SLB Instance"),
        }
    }
}

/// What becomes of an order that does not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// 3 failed, 6 stopped, 7 partly succeeded, 10 failed on a system exception; 1 hangs for ever, and tells at what.
    pub status: u8,
    /// The batch that fails, counted from 0.
    pub batch: usize,
    pub code: &'static str,
    pub message: &'static str,
}

impl Failure {
    /// The code of one that fails before anything comes: no host, no instance, no pod.
    pub const NOBODY_CAME: &'static str = "EDAS-10001";

    fn brings_nobody(&self) -> bool {
        self.code == Self::NOBODY_CAME
    }
}

/// What an order does to instances.
#[derive(Debug, Clone)]
pub enum Work {
    /// They come into their group.
    Arrive,
    /// They leave the application.
    Leave,
    /// They get a package, and their groups with them.
    Install { package: String, groups: Vec<String> },
    /// They run in the end, or not.
    Run(bool),
    /// They go into another group.
    Move(String),
    /// An application on Kubernetes gets as many pods, of this image where one is named.
    Pods { image: Option<String>, replicas: u64 },
    /// A vServer group follows a deploy group, on the intranet (0) or the internet (1).
    Bind { group: String, side: usize, vserver: String, port: u16 },
}

#[derive(Debug, Clone)]
pub struct Batch {
    pub id: String,
    pub eccs: Vec<String>,
    /// 0 ready, 1 running, 2 ok, 3 failed, 6 aborted, 10 failed on a system exception.
    pub status: u8,
    pub started: Ms,
    pub ended: Ms,
}

#[derive(Debug, Clone)]
pub struct Order {
    pub id: String,
    pub app: String,
    /// Empty where it concerns all of them.
    pub group: String,
    pub kind: Kind,
    pub description: String,
    pub work: Work,
    pub batches: Vec<Batch>,
    /// Each batch waits for somebody.
    pub manual: bool,
    /// Each batch waits so long.
    pub wait: Ms,
    pub created: Ms,
    pub finished: Option<Ms>,
    pub status: u8,
    pub since: Ms,
    pub failure: Option<Failure>,
    /// A code and a message.
    pub error: Option<(String, String)>,
}

impl Order {
    pub fn going(&self) -> bool {
        GOING.contains(&self.status)
    }
}

/// How the instances of an order are cut into batches.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    pub batches: usize,
    pub manual: bool,
    pub wait: Ms,
}

impl World {
    /// Whether the next order that brings instances fails before any comes.
    pub fn brings_nobody(&self) -> bool {
        let next = self.failures.iter().find(|(kind, _)| *kind == Kind::ScaleOut);
        next.is_some_and(|(_, failure)| failure.brings_nobody())
    }

    /// The order that an application is busy with.
    pub fn busy_with(&self, app: &str) -> Option<&Order> {
        self.orders.iter().find(|order| order.app == app && order.going())
    }

    /// An order begins. `eccs` come as lists that are cut into batches each for itself: one for each group.
    pub fn order(
        &mut self,
        kind: Kind,
        of: (&str, &str),
        work: Work,
        eccs: &[Vec<String>],
        pace: Pace,
    ) -> String {
        let (app, group) = of;
        let cut = |list: &Vec<String>, batches: usize| -> Vec<Vec<String>> {
            list.chunks(list.len().div_ceil(batches).max(1)).map(<[String]>::to_vec).collect()
        };
        let cuts: Vec<_> = eccs.iter().map(|list| cut(list, pace.batches.max(1))).collect();
        let count = cuts.iter().map(Vec::len).max().unwrap_or(0).max(1);
        let batches = (0..count).map(|n| {
            let eccs = cuts.iter().filter_map(|cut| cut.get(n)).flatten().cloned().collect();
            Batch { id: self.uuid(), eccs, status: 0, started: 0, ended: 0 }
        });
        let batches = batches.collect();
        let id = self.uuid();
        let planned = self.failures.iter().position(|(of, _)| *of == kind);
        let failure = planned.map(|at| self.failures.remove(at).1);
        self.orders.push(Order {
            id: id.clone(),
            app: app.to_owned(),
            group: group.to_owned(),
            kind,
            description: String::new(),
            work,
            batches,
            manual: pace.manual,
            wait: pace.wait,
            created: self.now,
            finished: None,
            status: 0,
            since: self.now,
            failure,
            error: None,
        });
        id
    }

    pub fn settle_orders(&mut self) {
        for at in 0..self.orders.len() {
            let Some(mut order) = self.orders.get(at).cloned().filter(Order::going) else { continue };
            self.proceed(&mut order);
            if let Some(place) = self.orders.get_mut(at) {
                *place = order;
            }
        }
    }

    fn proceed(&mut self, order: &mut Order) {
        match order.status {
            0 if self.now >= order.since + self.settings.step => self.turn(order, 1),
            9 if self.now >= order.since + order.wait => self.turn(order, 1),
            1 => self.run(order),
            _ => {}
        }
    }

    fn turn(&self, order: &mut Order, status: u8) {
        (order.status, order.since) = (status, self.now);
        if !order.going() {
            order.finished = Some(self.now);
        }
    }

    fn run(&mut self, order: &mut Order) {
        let Some(at) = order.batches.iter().position(|batch| batch.status != 2) else {
            self.succeed(order);
            return;
        };
        let Some(mut batch) = order.batches.get(at).cloned() else { return };
        if batch.status == 0 {
            (batch.status, batch.started) = (1, self.now);
            self.begin(order, &batch);
        } else if self.now >= batch.started + self.settings.step * STAGES.len() as u64
            && self.there(order, &batch)
        {
            self.end(order, &mut batch, at);
        }
        if let Some(place) = order.batches.get_mut(at) {
            *place = batch;
        }
        if order.status == 1 && order.batches.iter().all(|batch| batch.status == 2) {
            self.succeed(order);
        }
    }

    /// Whether everybody of a batch has a host that runs.
    pub fn there(&self, order: &Order, batch: &Batch) -> bool {
        if matches!(order.work, Work::Pods { .. }) && order.failure.is_none() && !self.is_scaled(&order.app) {
            return false;
        }
        let eccs = self.eccs.iter().filter(|ecc| batch.eccs.contains(&ecc.id));
        eccs.filter_map(|ecc| self.host_of(ecc)).all(|host| host.state != "Pending")
    }

    fn begin(&mut self, order: &Order, batch: &Batch) {
        if let (Work::Install { package, groups }, true) = (&order.work, self.settings.group_package_first) {
            self.name_package(&order.app, groups, package);
        }
        if matches!(order.work, Work::Leave) {
            for id in &batch.eccs {
                self.forget(id);
            }
        }
        let comes = order.failure.as_ref().is_none_or(|failure| !failure.brings_nobody());
        if let (Work::Pods { image, replicas }, true) = (&order.work, comes) {
            self.rescale(&order.app, image.as_deref(), *replicas, order.failure.is_some());
        }
        let stops = match order.work {
            Work::Install { .. } | Work::Run(_) | Work::Leave => true,
            Work::Arrive | Work::Move(_) | Work::Bind { .. } | Work::Pods { .. } => false,
        };
        for ecc in self.eccs.iter_mut().filter(|ecc| batch.eccs.contains(&ecc.id)) {
            ecc.task = 1;
            ecc.runs &= !stops;
        }
    }

    fn end(&mut self, order: &mut Order, batch: &mut Batch, at: usize) {
        let failure = order.failure.clone().filter(|failure| failure.batch == at);
        if let Some(failure) = failure.as_ref().filter(|failure| failure.status == 1) {
            // It tells what it hangs at.
            for ecc in self.eccs.iter_mut().filter(|ecc| batch.eccs.contains(&ecc.id)) {
                ecc.task = 3;
            }
            order.error = Some((failure.code.to_owned(), failure.message.to_owned()));
            return;
        }
        let reached: Vec<String> = batch.eccs.iter().filter(|id| self.reachable(id)).cloned().collect();
        let done = match &failure {
            // All but the last.
            Some(failure) if failure.status == 7 => reached.split_last().map_or(&[][..], |(_, rest)| rest),
            Some(_) => &[],
            None => &reached,
        };
        for id in done {
            self.apply(order, id);
        }
        let missed = batch.eccs.iter().filter(|id| !done.contains(id));
        for ecc in self.eccs.iter_mut().filter(|ecc| missed.clone().any(|id| *id == ecc.id)) {
            ecc.task = 3;
        }
        batch.ended = self.now;
        let offline = reached.len() < batch.eccs.len();
        let (status, code, message) = match failure {
            Some(failure) => (failure.status, failure.code, failure.message),
            None if offline && done.is_empty() => (3, "EDAS-10001", "the agent of the host is offline"),
            None if offline => (7, "EDAS-10001", "the agent of the host is offline"),
            None => (2, "", ""),
        };
        if status != 2 {
            batch.status = if matches!(status, 6 | 10) { status } else { 3 };
            order.error = Some((code.to_owned(), message.to_owned()));
            self.turn(order, status);
            return;
        }
        batch.status = 2;
        let last = at + 1 == order.batches.len();
        if order.manual && !last {
            self.turn(order, 8);
        } else if order.wait > 0 && !last {
            self.turn(order, 9);
        }
    }

    fn reachable(&self, ecc: &str) -> bool {
        let ecc = self.eccs.iter().find(|one| one.id == ecc);
        ecc.and_then(|ecc| self.ecu(&ecc.ecu)).is_some_and(|ecu| ecu.online)
    }

    /// What an order does to one instance.
    fn apply(&mut self, order: &Order, id: &str) {
        let newest =
            self.app(&order.app).and_then(|app| app.packages.last()).map(|package| package.id.clone());
        let newest = newest.filter(|_| self.settings.newest_for_empty_groups);
        let groups = self.app(&order.app).map(|app| app.groups.clone()).unwrap_or_default();
        let now = self.now;
        let Some(ecc) = self.eccs.iter_mut().find(|ecc| ecc.id == id) else { return };
        (ecc.task, ecc.since) = (2, now);
        match &order.work {
            Work::Arrive => {
                let own =
                    groups.iter().find(|group| group.id == ecc.group).and_then(|group| group.package.clone());
                ecc.package = own.or(newest);
                ecc.runs = ecc.package.is_some();
                self.follow(id);
            }
            Work::Install { package, .. } => (ecc.package, ecc.runs) = (Some(package.clone()), true),
            Work::Run(runs) => ecc.runs = *runs && ecc.package.is_some(),
            Work::Move(group) => {
                ecc.group.clone_from(group);
                self.forget(id);
                self.follow(id);
            }
            Work::Leave => self.leave(id),
            Work::Bind { .. } | Work::Pods { .. } => {}
        }
    }

    fn leave(&mut self, id: &str) {
        let Some(at) = self.eccs.iter().position(|ecc| ecc.id == id) else { return };
        let ecc = self.eccs.remove(at);
        let Some(host) = self.ecu(&ecc.ecu).map(|ecu| ecu.host.clone()) else { return };
        let Some((bought, release)) =
            self.hosts.get(&host).map(|host| (host.template.is_some(), host.release))
        else {
            return;
        };
        if bought && release {
            for group in &mut self.scaling_groups {
                group.instances.remove(&host);
            }
            self.hosts.remove(&host);
            self.ecus.retain(|ecu| ecu.id != ecc.ecu);
        } else if let (true, Some(host)) = (bought, self.hosts.get_mut(&host)) {
            host.state = "Stopped";
        }
    }

    fn succeed(&mut self, order: &mut Order) {
        match &order.work {
            Work::Install { package, groups } => self.name_package(&order.app, groups, package),
            Work::Bind { group, side, vserver, port } => {
                let bound = Some((vserver.clone(), *port));
                let found = self
                    .app_mut(&order.app)
                    .and_then(|app| app.groups.iter_mut().find(|own| own.id == *group));
                if let Some(place) = found.and_then(|group| group.bound.get_mut(*side)) {
                    *place = bound;
                }
                let members: Vec<_> =
                    self.eccs.iter().filter(|ecc| ecc.group == *group).map(|ecc| ecc.id.clone()).collect();
                for id in members {
                    self.follow(&id);
                }
            }
            Work::Arrive | Work::Leave | Work::Run(_) | Work::Move(_) | Work::Pods { .. } => {}
        }
        self.turn(order, 2);
    }

    fn name_package(&mut self, app: &str, groups: &[String], package: &str) {
        let all = self.app_mut(app).map(|app| app.groups.iter_mut()).into_iter().flatten();
        for group in all.filter(|group| groups.contains(&group.id)) {
            group.package = Some(package.to_owned());
        }
    }

    /// The vServer groups that EDAS keeps in step with the group of an instance, and with its application.
    fn bound_to(&self, ecc: &str) -> Option<(String, Vec<(String, u16)>)> {
        let ecc = self.eccs.iter().find(|one| one.id == ecc)?;
        let app = self.app(&ecc.app)?;
        let own = app.group(&ecc.group).map(|group| group.bound.iter().flatten().cloned());
        let whole = app.bindings.iter().flatten().map(|binding| (binding.group.clone(), app.port));
        Some((self.host_of(ecc)?.id.clone(), own.into_iter().flatten().chain(whole).collect()))
    }

    /// EDAS puts an instance where its group and its application are bound to.
    pub fn follow(&mut self, ecc: &str) {
        let Some((host, groups)) = self.bound_to(ecc) else { return };
        for (group, port) in groups {
            let (kind, description) = ("ecs".to_owned(), String::new());
            self.put(&group, Asked { id: host.clone(), port, weight: 100, kind, description }, 0);
        }
    }

    fn forget(&mut self, ecc: &str) {
        let Some((host, groups)) = self.bound_to(ecc) else { return };
        for (group, port) in groups {
            self.take(&group, &host, port, 0);
        }
    }

    /// Stops an order where it is, and takes it back if so asked.
    pub fn abort(&mut self, id: &str, back: bool) -> Option<String> {
        let at = self.orders.iter().position(|order| order.id == id && order.going())?;
        let mut order = self.orders.get(at)?.clone();
        let running: Vec<String> = {
            let going = order.batches.iter_mut().filter(|batch| batch.status == 1);
            going.flat_map(|batch| {
                (batch.status, batch.ended) = (6, self.now);
                batch.eccs.clone()
            })
        }
        .collect();
        for ecc in self.eccs.iter_mut().filter(|ecc| running.contains(&ecc.id)) {
            ecc.task = 3;
        }
        order.error = Some(("EDAS-10000".to_owned(), "stopped by a user".to_owned()));
        self.turn(&mut order, 6);
        if let Some(place) = self.orders.get_mut(at) {
            *place = order.clone();
        }
        Some(if back { self.take_back(&order) } else { order.id })
    }

    /// The order that gives groups their earlier package back.
    pub fn take_back(&mut self, order: &Order) -> String {
        let of = (order.app.clone(), order.group.clone());
        let done: Vec<String> = order.batches.iter().flat_map(|batch| batch.eccs.clone()).collect();
        let group = self.app(&of.0).and_then(|app| app.group(&of.1)).cloned();
        let work = match (group.and_then(|group| group.package), &order.work) {
            (Some(package), Work::Install { .. }) => Work::Install { package, groups: vec![of.1.clone()] },
            _ => Work::Run(true),
        };
        self.order(Kind::Rollback, (&of.0, &of.1), work, &[done], Pace::default())
    }
}
