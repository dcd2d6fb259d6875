//! Services with as many target groups as a test wants, and as many services.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::fake::{Fake, GroupOptions, World};
use crate::job::{Job, SIZE, Setup, deploy_groups};

/// Several services on one fake cloud, and the folder with their deployment files.
pub struct Wide {
    pub job: Job,
    /// The applications by the names of the services.
    pub apps: BTreeMap<String, String>,
}

impl Wide {
    /// So many services with so many target groups each: twins behind rules of an ALB, groups of an NLB and of a CLB in
    /// turn. All share the three balancers.
    pub fn new(services: usize, groups: u16, edit: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::default();
        edit(&mut setup);
        let fake = Fake::start(setup.settings.clone());
        let (mut apps, mut files) = (BTreeMap::new(), Vec::new());
        fake.world(|world| {
            world.idle(services * SIZE * 2);
            let edge = world.alb("edge");
            let spare = world.alb_group("spare", &GroupOptions::default());
            let places = Places {
                edge: world.listener(&edge, 443, &spare),
                nlb: world.nlb("inner"),
                clb: world.clb("old"),
            };
            for n in 0..services {
                let name = if services == 1 { "api".to_owned() } else { format!("s{n:02}") };
                let app = world.application(&name, 8080);
                world.deploy_group(&app, "blue");
                let blue = world.deployed(&app, "blue", "1.0.0", SIZE);
                let first = u16::try_from(n).unwrap() * groups;
                files.push((name.clone(), app.clone(), places.declare(world, &blue, first..first + groups)));
                apps.insert(name, app);
            }
        });
        let job = Job::over(fake, files[0].1.clone(), BTreeMap::new());
        for (name, app, groups) in &files {
            job.write(name, &deploy_groups(app, groups), &setup);
        }
        Self { job, apps }
    }

    /// Every service serves from this deploy group, and nobody was without an answer meanwhile.
    pub fn all_on(&self, fleet: &str, other: &str) {
        for (service, app) in &self.apps {
            let running = |fleet: &str| self.job.fake.world(|world| world.running(app, fleet, None)).len();
            assert_eq!((running(fleet), running(other)), (SIZE, 0), "{service}");
        }
        self.job.unharmed();
    }
}

/// Where the groups are.
struct Places {
    edge: String,
    nlb: String,
    clb: String,
}

impl Places {
    fn declare(&self, world: &mut World, blue: &[String], groups: std::ops::Range<u16>) -> String {
        let mut lines = String::new();
        let http = GroupOptions { drain: Some(1), ..GroupOptions::default() };
        let tcp = GroupOptions { protocol: "TCP", ..http.clone() };
        for n in groups {
            let (stands, line) = match n % 3 {
                0 => {
                    let twins = ["a", "b"].map(|side| world.alb_group(&format!("g{n}-{side}"), &http));
                    world.rule(&self.edge, u64::from(n) + 10, &[(&twins[0], 100), (&twins[1], 0)]);
                    let line = format!("{{ alb_twins: [{}, {}] }}", twins[0], twins[1]);
                    (twins[0].clone(), line)
                }
                1 => {
                    let group = world.nlb_group(&format!("g{n}"), &tcp);
                    world.listener(&self.nlb, 9000 + n, &group);
                    (group.clone(), format!("{{ nlb: {group}, whole: accept }}"))
                }
                _ => {
                    let group = world.vserver_group(&self.clb, &format!("g{n}"));
                    world.clb_listener(&self.clb, "tcp", 9000 + n, Some(&group));
                    (group.clone(), format!("{{ clb: {group}, whole: accept }}"))
                }
            };
            for host in blue {
                world.stand(&stands, host, 8080, 100);
            }
            writeln!(lines, "          g{n}: {line}").unwrap();
        }
        lines
    }
}
