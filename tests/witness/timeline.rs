//! Time as a cloud takes it, put over a moto in which everything is so at once: instances launch, applications start,
//! health is checked every so often, and what leaves a target group drains. So what a rollout cannot be faster than is
//! known, and the rest is what the tool adds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use crate::front::{all, decoded};

/// How long everything takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Each call there and back.
    pub call: Duration,
    /// Until an instance runs and is registered.
    pub launch: Duration,
    /// Until the application in it answers.
    pub start: Duration,
    /// Between two checks of a target, the first of which comes at a time of its own.
    pub check: Duration,
    /// Until a target that was taken out has gone.
    pub drain: Duration,
}

/// What happened when.
#[derive(Debug, Default)]
pub struct Timeline {
    pub times: Times,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When each instance was asked for, of those that came since the beginning.
    born: BTreeMap<String, Instant>,
    /// When a target group was given to a fleet: by group and instance.
    joined: BTreeMap<(String, String), Instant>,
    /// When an instance was taken out of a target group.
    left: BTreeMap<(String, String), Instant>,
    /// Who has ended, at any time.
    ended: BTreeSet<String>,
}

impl Timeline {
    pub fn of(times: Times) -> Self {
        Self { times, ..Self::default() }
    }

    /// Everything that is there now has always been.
    pub fn begin(&self) {
        let mut seen = self.seen();
        *seen = Seen { ended: std::mem::take(&mut seen.ended), ..Seen::default() };
    }

    /// These instances have ended, and stand nowhere any more.
    pub fn ended(&self, instances: Vec<String>) {
        self.seen().ended.extend(instances);
    }

    /// What was there before a call of this form, of which the group's answer tells; and what it has led to.
    pub fn acted(&self, form: &str, [before, after]: [&str; 2]) {
        let (now, mut seen) = (Instant::now(), self.seen());
        let groups = |text: &str| -> Vec<String> {
            let list = all(text, "TargetGroupARNs").next().unwrap_or_default().to_owned();
            all(&list, "member").map(str::to_owned).collect()
        };
        let ids = |text: &str| all(text, "InstanceId").map(str::to_owned).collect::<Vec<_>>();
        for id in ids(after).into_iter().filter(|id| !ids(before).contains(id)) {
            seen.born.insert(id, now);
        }
        let named = |arn: &String| {
            form.split('&').any(|pair| pair.split_once('=').is_some_and(|(_, value)| decoded(value) == **arn))
        };
        for id in ids(after) {
            for arn in groups(after) {
                seen.left.remove(&(arn.clone(), id.clone()));
                seen.joined.entry((arn, id.clone())).or_insert(now);
            }
            for arn in groups(before).into_iter().filter(named).filter(|arn| !groups(after).contains(arn)) {
                seen.joined.remove(&(arn.clone(), id.clone()));
                seen.left.insert((arn, id.clone()), now);
            }
        }
    }

    /// An answer, as it would be at this time.
    pub fn told(&self, action: &str, form: &str, body: &str) -> String {
        match action {
            "DescribeAutoScalingGroups" => self.fleets(body),
            "DescribeTargetHealth" => {
                let arn = form.split('&').find_map(|pair| pair.strip_prefix("TargetGroupArn="));
                self.health(&decoded(arn.unwrap_or_default()), body)
            }
            _ => body.to_owned(),
        }
    }

    fn fleets(&self, body: &str) -> String {
        let seen = self.seen();
        let mut parts = body.split("<InstanceId>");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let id = part.split('<').next().unwrap_or_default();
            let young = seen.born.get(id).is_some_and(|born| born.elapsed() < self.times.launch);
            let state = "<LifecycleState>InService<";
            let part =
                if young { part.replacen(state, "<LifecycleState>Pending<", 1) } else { part.to_owned() };
            out += "<InstanceId>";
            out += &part;
        }
        out
    }

    fn health(&self, arn: &str, body: &str) -> String {
        let seen = self.seen();
        let now = Instant::now();
        let mut targets = String::new();
        for target in all(body, "member") {
            let id = all(target, "Id").next().unwrap_or_default();
            if seen.ended.contains(id) {
                continue;
            }
            let healthy = self.healthy_at(&seen, arn, id);
            let launched = seen.born.get(id).is_none_or(|born| now >= *born + self.times.launch);
            if !launched {
                continue;
            }
            let target = match healthy {
                Some(at) if now < at => target.replacen("<State>healthy<", "<State>initial<", 1),
                _ => target.to_owned(),
            };
            write!(targets, "<member>{target}</member>").unwrap();
        }
        for ((group, id), at) in &seen.left {
            if group == arn && now < *at + self.times.drain {
                let leaving = "<TargetHealth><State>draining</State></TargetHealth>";
                write!(targets, "<member><Target><Id>{id}</Id><Port>80</Port></Target>{leaving}</member>")
                    .unwrap();
            }
        }
        let list = "TargetHealthDescriptions";
        let (head, rest) = body.split_once(&format!("<{list}")).unwrap_or((body, ""));
        let tail = rest.split_once("<ResponseMetadata>").map_or("", |(_, tail)| tail);
        format!("{head}<{list}>{targets}</{list}></DescribeTargetHealthResult><ResponseMetadata>{tail}")
    }

    /// When a target is first found healthy; none of what has always been there.
    fn healthy_at(&self, seen: &Seen, arn: &str, id: &str) -> Option<Instant> {
        let born = *seen.born.get(id)?;
        let joined = seen.joined.get(&(arn.to_owned(), id.to_owned()))?;
        let registered = (*joined).max(born + self.times.launch);
        let up = born + self.times.launch + self.times.start;
        let mut hasher = DefaultHasher::new();
        (arn.split('/').nth(1), born == *joined).hash(&mut hasher);
        let part = f64::from(u16::try_from(hasher.finish() % 1_000).ok()?) / 1_000.0;
        let mut at = registered + self.times.check.mul_f64(part);
        while at < up {
            at += self.times.check;
        }
        Some(at)
    }

    /// What nobody could have been faster than: from the first instance asked for to the last target healthy.
    pub fn critical(&self) -> Duration {
        let seen = self.seen();
        let first = seen.born.values().min();
        let last = seen.joined.keys().filter_map(|(arn, id)| self.healthy_at(&seen, arn, id)).max();
        first.zip(last).map(|(first, last)| last - *first).unwrap_or_default()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }
}
