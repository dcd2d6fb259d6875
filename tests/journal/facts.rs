//! One rollout in which every kind of event happens, and what the tests do with it.

use deployer::journal::{Appended, Damage, Flaw, Journal, JournalFault, Key, Log, MemoryStore, Store};
use deployer::model::{RolloutId, Time};
use deployer::rollout::{Event, Recorded};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

pub fn rollout() -> RolloutId {
    serde_json::from_value(rollout_json(7)).unwrap()
}

fn rollout_json(number: u64) -> Value {
    json!({"service": "api", "environment": "local", "number": number})
}

/// Every kind of event, and every kind of order and change.
pub fn all() -> Vec<Recorded> {
    let by = json!({"user": "kim", "host": "laptop", "pid": 41, "run_url": null, "nonce": "a1"});
    let ci = json!({"user": "ci", "host": "runner", "pid": 7, "run_url": "https://ci/7", "nonce": "b2"});
    let order = |order: Value| json!({"ordered": {"order": order, "by": ci}});
    let changes = json!([
        {"provision": {"fleet": {"id": "api-green", "revision": "v2", "size": 2}}},
        {"register": {"fleet": "api-green", "groups": ["internal", "public"]}},
        {"shift": {"group": "public", "to": "api-green", "from": "api-blue", "share": 50}},
        {"deregister": {"fleet": "api-blue", "groups": ["public"]}},
        {"freeze": {"fleet": "api-blue"}},
        {"thaw": {"fleet": "api-blue"}}
    ]);
    let fault = json!({"kind": "throttled", "ambiguous": true, "action": "Shift", "message": "slow \"down\"",
        "request_id": "r-1"});
    let covered = json!({"public": {"healthy": 2, "share": 100, "waived": null},
        "internal": {"healthy": 0, "share": 0, "waived": "nobody uses it"}});
    let events = [
        json!({"opened": {"plan": plan(), "by": by}}),
        json!({"looked": {"inventory": inventory()}}),
        json!({"changing": {"changes": changes, "token": "api-local-7-3"}}),
        json!({"settled": {"token": "api-local-7-3", "faults": [fault]}}),
        json!({"resumed": {"by": ci}}),
        order(json!({"promote": {"full": true}})),
        order(json!("pause")),
        order(json!("resume")),
        order(json!("abort")),
        order(json!("rollback")),
        order(json!({"amend": {"group": "生产组"}})),
        order(
            json!({"waive": {"group": "internal", "reason": "nobody\nuses it", "until": 1_900_000_000_000_u64}}),
        ),
        json!({"retiring": {"fleet": "api-blue", "covered": covered, "token": "api-local-7-9"}}),
        json!({"released": {"why": "SIGTERM"}}),
    ];
    let at = |n: usize| Time(1_790_000_000_000 + n as u64 * 1_000);
    let known = |value: Value| serde_json::from_value::<Event>(value).unwrap();
    events.into_iter().enumerate().map(|(n, event)| Recorded { at: at(n), event: known(event) }).collect()
}

fn plan() -> Value {
    let deadlines = json!({"provision": 600_000, "register": 60_000, "settle": 60_000, "shift": 60_000,
        "drain": 60_000, "retire": 60_000, "hold": 60_000, "restore": 60_000, "withdraw": 60_000, "then": "rollback"});
    json!({
        "format": 1, "rollout": rollout_json(7), "purpose": {"rollback": {"of": 6}}, "strategy": "bluegreen",
        "blue": {"id": "api-blue", "revision": "v1", "size": 2},
        "green": {"id": "api-green", "revision": "v2", "size": 2},
        "groups": {
            "public": {"because": ["declared", "blue_stands"], "sharing": "paired", "steps": "any"},
            "internal": {"because": ["amended", "last_rollout"], "sharing": "shared", "steps": "all_or_nothing"}
        },
        "steps": [{"share": 50, "hold": "promote"}, {"share": 100, "hold": {"for": 0}}],
        "settle": 1000, "bake": {"for": 60_000}, "quiet": 1000, "min_healthy": 100, "freeze": true,
        "deadlines": deadlines, "pace": {"lands": 0, "soon": 100, "watch": 1000, "fresh": 5000},
        "waivers": [{"group": "internal", "reason": "why not", "until": 1, "by": "kim"}], "world": "5e"
    })
}

fn inventory() -> Value {
    let target = |instance, health| json!({"instance": instance, "health": health, "reason": null});
    let fleet = json!({"revision": "v1", "desired": 2, "instances": {"i-1": "running", "i-2": "pending"},
        "scaling": "active", "attached": ["public"]});
    let side = json!({"share": 100, "targets": {"i-1:80": target("i-1", "healthy"), "i-2:80": target("i-2", "unused")}});
    let group = json!({"sharing": "paired", "steps": "any", "routes": ["listener public:443"],
        "deregistration_delay": 300_000, "health_interval": 5000, "sides": {"api-blue": side}});
    json!({"looked_at": 5, "fleets": {"api-blue": {"known": fleet}},
        "groups": {"public": {"known": group}, "internal": {"unknown": "denied"}}, "unread": ["region b"]})
}

/// The smallest fact, told apart by its words.
pub fn released(why: &str) -> Recorded {
    Recorded { at: Time(5), event: Event::Released { why: why.to_owned() } }
}

/// Opens the rollout with the first fact and appends the others; nobody else may be at it.
pub async fn write<S: Store>(journal: &Journal<S>, facts: &[Recorded]) -> Log<S> {
    let mut log = journal.open(&rollout(), &facts[0]).await.unwrap();
    for fact in &facts[1..] {
        assert_eq!(log.append(fact).await.unwrap(), Appended::Created(log.head().seq));
    }
    log
}

/// A sound log of `facts` in memory.
pub async fn stored(facts: &[Recorded]) -> MemoryStore {
    let store = MemoryStore::new();
    write(&Journal::new(store.clone(), "w"), facts).await;
    store
}

/// What a reader says to the objects in a store.
pub async fn read<S: Store>(store: S) -> Result<Vec<Recorded>, JournalFault> {
    Journal::new(store, "reader").read(&rollout()).await.and_then(deployer::journal::History::into_recorded)
}

pub async fn damage<S: Store>(store: S) -> Damage {
    match read(store).await {
        Err(JournalFault::Damaged(damage)) => damage,
        other => panic!("not seen as damage: {other:?}"),
    }
}

/// The object under a number, damaged as told, in an otherwise sound log.
pub async fn with(store: &MemoryStore, seq: u64, change: impl FnOnce(&mut Vec<u8>)) -> (Key, Flaw) {
    let mut objects = store.objects();
    change(objects.get_mut(&key(seq)).unwrap());
    let broken = MemoryStore::new();
    broken.tamper(objects);
    let damage = damage(broken).await;
    (damage.key, damage.flaw)
}

pub fn key(seq: u64) -> Key {
    format!("api/local/00000007/{seq:08}.json").parse().unwrap()
}

/// The digest as an operator would make it with `sha256sum`.
pub fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// An object with a right sum around whatever stands before it, without the closing brace.
pub fn sealed(body: &str) -> Vec<u8> {
    format!("{body},\"sum\":\"{}\"}}\n", sha256(body.as_bytes())).into_bytes()
}

/// An object's text up to its sum.
pub fn body(object: &[u8]) -> String {
    let text = std::str::from_utf8(object).unwrap();
    text[..text.rfind(",\"sum\":").unwrap()].to_owned()
}
