//! A service on the fake: an application with two deploy groups, blue serving behind an ALB.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use deployer::cloud::edas::{EdasBackend, Over};
use deployer::cloud::{Backend, Change, Fault, Scope};
use deployer::model::{Fleet, FleetId, FleetSeen, GroupId, Inventory, Seen, Span, Token};
use deployer::spec::{DeployGroups, EdasFleets, EdasGroup, EdasServers, EdasSpec, Hosts, ShareBy};

use crate::fake::{ACCOUNT, Fake, GroupOptions, KEY_ID, REGION, SECRET, Settings};

/// How long something may take that takes some milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Rig {
    pub fake: Fake,
    pub spec: EdasSpec,
    pub app: String,
    /// Blue's hosts.
    pub blue: Vec<String>,
}

impl Rig {
    /// Two instances of 1.0.0 in `blue`; `green` rests, empty; six hosts are idle.
    pub fn new(settings: Settings, hosts: Hosts) -> Self {
        let fake = Fake::start(settings);
        let (app, twins, blue) = fake.world(|world| {
            let app = world.application("api", 8080);
            world.deploy_group(&app, "blue");
            world.deploy_group(&app, "green");
            let blue = world.deployed(&app, "blue", "1.0.0", 2);
            world.idle(6);
            world.launch_template("lt-1", &[true]);
            let balancer = world.alb("edge");
            let twins = ["public-a", "public-b"].map(|name| world.alb_group(name, &GroupOptions::default()));
            let spare = world.alb_group("spare", &GroupOptions::default());
            let listener = world.listener(&balancer, 443, &spare);
            world.rule(&listener, 10, &[(&twins[0], 100), (&twins[1], 0)]);
            for host in &blue {
                world.stand(&twins[0], host, 8080, 100);
            }
            (app, twins, blue)
        });
        let public = EdasGroup {
            port: 8080,
            servers: EdasServers::AlbTwins(twins),
            by: ShareBy::Membership,
            accepts_unproved: false,
            accepts_whole: false,
        };
        let spec = EdasSpec {
            account: ACCOUNT.to_owned(),
            region: REGION.to_owned(),
            fleets: EdasFleets::Groups(DeployGroups {
                application: app.clone(),
                pair: ["blue", "green"].map(str::to_owned),
                hosts,
                package: "https://bucket.oss-cn-hongkong.aliyuncs.com/api-{revision}.jar".to_owned(),
            }),
            call_timeout: Span::secs(5),
            pace: Span(20),
            groups: BTreeMap::from([(GroupId::new("public").unwrap(), public)]),
        };
        Self { fake, spec, app, blue }
    }

    pub fn backend(&self) -> EdasBackend {
        let over = Over { endpoint: self.fake.url(), id: KEY_ID.to_owned(), secret: SECRET.to_owned() };
        EdasBackend::new("api".parse().unwrap(), self.spec.clone()).over(over)
    }
}

pub fn fleet(name: &str) -> FleetId {
    FleetId::new(name).unwrap()
}

pub fn green(revision: &str, size: u32) -> Fleet {
    Fleet { id: fleet("green"), revision: revision.parse().unwrap(), size }
}

pub fn token(number: u32) -> Token {
    Token::new(format!("api-hongkong-1-opener-{number}")).unwrap()
}

pub async fn look(backend: &EdasBackend) -> Inventory {
    let scope = Scope {
        service: "api".parse().unwrap(),
        groups: [GroupId::new("public").unwrap()].into(),
        fleets: [fleet("blue"), fleet("green")].into(),
    };
    backend.look(&scope).await.unwrap()
}

/// Asks for the fleet as the machine does, until a look shows what is wanted.
pub async fn provision_until(
    backend: &EdasBackend,
    wanted: &Fleet,
    there: impl Fn(&FleetSeen) -> bool,
) -> Inventory {
    let begun = Instant::now();
    let mut number = 0;
    loop {
        let seen = look(backend).await;
        let now = match seen.fleets.get(&wanted.id) {
            Some(Seen::Known(now)) => Some(now),
            Some(Seen::Unknown(why)) => panic!("{why}"),
            None => None,
        };
        if now.is_some_and(&there) {
            return seen;
        }
        let asked = now.is_none_or(|now| now.desired < wanted.size || now.revision != wanted.revision);
        if asked {
            number += 1;
            provision(backend, wanted, number).await.unwrap();
        }
        assert!(begun.elapsed() < PATIENCE, "{now:?}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub async fn provision(backend: &EdasBackend, wanted: &Fleet, number: u32) -> Result<(), Fault> {
    backend.change(&Change::Provision { fleet: wanted.clone() }, &token(number)).await
}
